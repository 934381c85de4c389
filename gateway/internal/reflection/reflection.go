// Package reflection serves gRPC reflection for all services of the mesh, from the generated descriptors, and
// grpc.health.v1 for the mesh as a whole.
package reflection

import (
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	v1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	v1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"tocsin/gateway/internal/contract"
)

// services names what the mesh offers; the reflection service lists exactly this.
type services map[string]grpc.ServiceInfo

func (s services) GetServiceInfo() map[string]grpc.ServiceInfo { return s }

// New makes the server.
func New(table *contract.Contract, health healthpb.HealthServer) *grpc.Server {
	offered := services{
		healthpb.Health_ServiceDesc.ServiceName:          {},
		v1.ServerReflection_ServiceDesc.ServiceName:      {},
		v1alpha.ServerReflection_ServiceDesc.ServiceName: {},
	}
	for _, name := range table.Services {
		offered[name] = grpc.ServiceInfo{}
	}
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(64<<10),
		grpc.MaxConcurrentStreams(256),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	options := reflection.ServerOptions{Services: offered}
	v1.RegisterServerReflectionServer(server, reflection.NewServerV1(options))
	v1alpha.RegisterServerReflectionServer(server, reflection.NewServer(options))
	healthpb.RegisterHealthServer(server, health)
	return server
}
