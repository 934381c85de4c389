// Package contract reads from the generated descriptors what the gateway must know about the contracts: which services
// there are, who answers them, and under which paths their methods stand.
package contract

import (
	"slices"
	"sort"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Binding is one place of a method in REST.
type Binding struct {
	// Verb is the HTTP method.
	Verb string
	// Template of the path, as google.api.http writes it.
	Template string
	// Body names the field that the request's body fills: "*" for the whole message, empty for none.
	Body string
}

// Method is a method of a service.
type Method struct {
	// Descriptor of the method.
	Descriptor protoreflect.MethodDescriptor
	// FullName as on the wire: /package.Service/Method.
	FullName string
	// Peer that answers: ingestion, aggregation, media_probe or notification.
	Peer string
	// Bindings of the method, the main one first; none where it is gRPC only.
	Bindings []Binding
}

// Contract is all of it.
type Contract struct {
	// Methods by their full names.
	Methods map[string]*Method
	// Services by full name, sorted.
	Services []string
	// Peers that answer services, sorted.
	Peers []string
}

// Load reads what the generated packages of this program registered.
func Load() *Contract {
	c := &Contract{Methods: map[string]*Method{}}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		peer, ok := PeerOf(string(file.Package()))
		if !ok {
			return true
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			c.Services = append(c.Services, string(service.FullName()))
			if !slices.Contains(c.Peers, peer) {
				c.Peers = append(c.Peers, peer)
			}
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				name := "/" + string(service.FullName()) + "/" + string(method.Name())
				c.Methods[name] = &Method{Descriptor: method, FullName: name, Peer: peer, Bindings: bindings(method)}
			}
		}
		return true
	})
	sort.Strings(c.Services)
	sort.Strings(c.Peers)
	return c
}

// internal packages are nobody's: events are published, options annotate, and calls carry those of all services.
var internal = []string{"events", "options", "calls"}

// PeerOf names who answers a package (or a name within it): tocsin.<peer>.v1.
func PeerOf(name string) (string, bool) {
	parts := strings.Split(name, ".")
	if len(parts) < 3 || parts[0] != "tocsin" || slices.Contains(internal, parts[1]) {
		return "", false
	}
	return parts[1], true
}

// BodyField names the field that the body of a REST request for the method fills; see Binding.Body.
func (c *Contract) BodyField(fullName string) string {
	if method := c.Methods[fullName]; method != nil && len(method.Bindings) > 0 {
		return method.Bindings[0].Body
	}
	return ""
}

func bindings(method protoreflect.MethodDescriptor) []Binding {
	rule, ok := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return nil
	}
	var found []Binding
	for _, r := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		var verb, template string
		switch pattern := r.GetPattern().(type) {
		case *annotations.HttpRule_Get:
			verb, template = "GET", pattern.Get
		case *annotations.HttpRule_Post:
			verb, template = "POST", pattern.Post
		case *annotations.HttpRule_Put:
			verb, template = "PUT", pattern.Put
		case *annotations.HttpRule_Patch:
			verb, template = "PATCH", pattern.Patch
		case *annotations.HttpRule_Delete:
			verb, template = "DELETE", pattern.Delete
		default:
			continue
		}
		found = append(found, Binding{Verb: verb, Template: template, Body: r.GetBody()})
	}
	return found
}
