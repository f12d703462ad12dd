package main

import (
	"net/http"
	"os"

	"k8s.io/apiserver/pkg/server"
)

// serveOAuthMetadata answers OpenShift's OAuth discovery document out of the file that OAUTH_METADATA names. As on
// OpenShift it comes after authentication and authorization, so that RBAC decides whether anonymous may read it.
func serveOAuthMetadata(generic *server.Config) {
	build := generic.BuildHandlerChainFunc
	generic.BuildHandlerChainFunc = func(api http.Handler, config *server.Config) http.Handler {
		return build(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			if request.URL.Path != "/.well-known/oauth-authorization-server" {
				api.ServeHTTP(answer, request)
			} else if document, err := os.ReadFile(os.Getenv("OAUTH_METADATA")); err != nil {
				http.NotFound(answer, request)
			} else {
				answer.Header().Set("Content-Type", "application/json")
				_, _ = answer.Write(document)
			}
		}), config)
	}
}
