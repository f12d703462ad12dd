// Command controlplane is a cluster's control plane in one binary: its first argument names the program to be.
package main

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/controller/volume/pvcprotection"
	jwt "k8s.io/kubernetes/pkg/serviceaccount"
)

func main() {
	os.Args = os.Args[1:]
	etcd := func() { etcdmain.Main(os.Args) }
	map[string]func(){"etcd": etcd, "kube-apiserver": apiServer, "kube-controller-manager": controllers}[os.Args[0]]()
}

// apiServer is kube-apiserver with OpenShift's way of deciding who may read a project.
func apiServer() {
	given, ctx := options.NewServerRunOptions(), context.Background()
	for _, set := range given.Flags().FlagSets {
		pflag.CommandLine.AddFlagSet(set)
	}
	pflag.Parse()
	cobra.CheckErr(given.GenericServerRunOptions.ComponentGlobalsRegistry.Set())
	completed := must(given.Complete(ctx))
	cobra.CheckErr(errors.NewAggregate(completed.Validate()))
	config := must(app.NewConfig(completed))
	generic := &config.Aggregator.GenericConfig.Config
	generic.RequestInfoResolver = projectsAsNamespaces{server.NewRequestInfoResolver(generic)}
	serveOAuthMetadata(generic)
	cobra.CheckErr(must(must(app.CreateServerChain(must(config.Complete()))).PrepareRun()).Run(ctx))
}

// projectsAsNamespaces makes /projects/NAME a request in namespace NAME, so that the roles bound there decide.
type projectsAsNamespaces struct{ request.RequestInfoResolver }

func (r projectsAsNamespaces) NewRequestInfo(req *http.Request) (*request.RequestInfo, error) {
	info, err := r.RequestInfoResolver.NewRequestInfo(req)
	if err == nil && info.APIGroup == "project.openshift.io" && info.Resource == "projects" {
		info.Namespace = info.Name
	}
	return info, err
}

// controllers runs the part of kube-controller-manager that a cluster without nodes can use, under the same flag names.
func controllers() {
	kubeconfig := pflag.String("kubeconfig", "", "how to reach the API server")
	keyFile := pflag.String("service-account-private-key-file", "", "what token Secrets are signed with")
	pflag.Parse()
	ctx, config := context.Background(), must(clientcmd.BuildConfigFromFlags("", *kubeconfig))
	config.QPS = -1 // no limit of the client's own
	client, objects := must(kubernetes.NewForConfig(config)), must(metadata.NewForConfig(config))
	typed, started := informers.NewSharedInformerFactory(client, 0), make(chan struct{})
	watches := informerfactory.NewInformerFactory(typed, metadatainformer.NewSharedInformerFactory(objects, 0))
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	signer := must(jwt.JWTTokenGenerator(jwt.LegacyIssuer, must(keyutil.PrivateKeyFromFile(*keyFile))))
	accounts, in := serviceaccount.DefaultServiceAccountsControllerOptions(), typed.Core().V1()
	garbage := must(garbagecollector.NewGarbageCollector(ctx, client, objects, mapper, garbagecollector.DefaultIgnoredResources(), watches, started))
	for _, controller := range []interface{ Run(context.Context, int) }{
		must(serviceaccount.NewTokensController(klog.Background(), in.ServiceAccounts(), in.Secrets(), client, serviceaccount.TokensControllerOptions{TokenGenerator: signer, RootCA: config.CAData})),
		must(serviceaccount.NewServiceAccountsController(in.ServiceAccounts(), in.Namespaces(), client, accounts)),
		must(rootcacertpublisher.NewPublisher(in.ConfigMaps(), in.Namespaces(), client, config.CAData)),
		must(pvcprotection.NewPVCProtectionController(klog.Background(), in.PersistentVolumeClaims(), in.Pods(), client)),
		clusterroleaggregation.NewClusterRoleAggregation(typed.Rbac().V1().ClusterRoles(), client.RbacV1()),
		namespace.NewNamespaceController(ctx, client, objects, client.Discovery().ServerPreferredNamespacedResources, in.Namespaces(), time.Minute, "kubernetes"),
	} {
		go controller.Run(ctx, 5)
	}
	watches.Start(ctx.Done())
	close(started)
	go garbage.Sync(ctx, client.Discovery(), 5*time.Second)
	garbage.Run(ctx, 5, 30*time.Second)
}

func must[T any](value T, err error) T { cobra.CheckErr(err); return value }
