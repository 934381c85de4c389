package rest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"

	"tocsin/gateway/internal/contract"
)

// routes knows which verbs a path takes, for the Allow header of a 405.
type routes struct {
	entries []route
}

type route struct {
	verb     string
	segments []string // "*" stands for any one segment
	action   string   // what follows the colon of the last segment
}

func newRoutes(table *contract.Contract) *routes {
	all := &routes{}
	for _, method := range table.Methods {
		for _, binding := range method.Bindings {
			all.add(binding.Verb, binding.Template)
		}
	}
	return all
}

func (a *routes) add(verb, template string) {
	path, action := template, ""
	if at := strings.LastIndex(template, ":"); at > strings.LastIndexAny(template, "/}") {
		path, action = template[:at], template[at+1:]
	}
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		if strings.HasPrefix(segment, "{") {
			segments[i] = "*"
		}
	}
	a.entries = append(a.entries, route{verb, segments, action})
}

func (a *routes) allowed(path string) []string {
	var verbs []string
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, entry := range a.entries {
		if entry.matches(segments) && !slices.Contains(verbs, entry.verb) {
			verbs = append(verbs, entry.verb)
		}
	}
	slices.Sort(verbs)
	return verbs
}

func (r route) matches(segments []string) bool {
	if len(segments) != len(r.segments) {
		return false
	}
	for i, want := range r.segments {
		got := segments[i]
		if i == len(segments)-1 && r.action != "" {
			var ok bool
			if got, ok = strings.CutSuffix(got, ":"+r.action); !ok {
				return false
			}
		}
		if want != "*" && want != got || got == "" {
			return false
		}
	}
	return true
}

// filterOf makes the set of fields that the path of a template fills, so that the query cannot fill them as well.
func filterOf(params map[string]string) *utilities.DoubleArray {
	paths := make([][]string, 0, len(params))
	for name := range params {
		paths = append(paths, strings.Split(name, "."))
	}
	return utilities.NewDoubleArray(paths)
}

// handle adds a handler of our own; it stands before a generated one of the same path.
func handle(mux *runtime.ServeMux, verb, template string, handler runtime.HandlerFunc) error {
	if err := mux.HandlePath(verb, template, handler); err != nil {
		return fmt.Errorf("%s %s: %w", verb, template, err)
	}
	return nil
}
