package contract

import (
	"context"
	"errors"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	aggregation "tocsin/gen/tocsin/aggregation/v1"
	_ "tocsin/gen/tocsin/events/v1" // for reflection: the events are documented there too
	ingestion "tocsin/gen/tocsin/ingestion/v1"
	mediaprobe "tocsin/gen/tocsin/media_probe/v1"
	notification "tocsin/gen/tocsin/notification/v1"
)

// Register adds the generated REST handlers of all services to mux. conn gives the connection to a peer.
func Register(ctx context.Context, mux *runtime.ServeMux, conn func(peer string) grpc.ClientConnInterface) error {
	ing, agg, med, not := conn("ingestion"), conn("aggregation"), conn("media_probe"), conn("notification")
	return errors.Join(
		ingestion.RegisterReadingServiceHandlerClient(ctx, mux, ingestion.NewReadingServiceClient(ing)),
		ingestion.RegisterPayloadServiceHandlerClient(ctx, mux, ingestion.NewPayloadServiceClient(ing)),
		ingestion.RegisterCatalogueServiceHandlerClient(ctx, mux, ingestion.NewCatalogueServiceClient(ing)),
		ingestion.RegisterAlertServiceHandlerClient(ctx, mux, ingestion.NewAlertServiceClient(ing)),
		ingestion.RegisterDebtFileServiceHandlerClient(ctx, mux, ingestion.NewDebtFileServiceClient(ing)),
		ingestion.RegisterDebtUploadServiceHandlerClient(ctx, mux, ingestion.NewDebtUploadServiceClient(ing)),
		ingestion.RegisterDebtServiceHandlerClient(ctx, mux, ingestion.NewDebtServiceClient(ing)),
		aggregation.RegisterAggregationServiceHandlerClient(ctx, mux, aggregation.NewAggregationServiceClient(agg)),
		aggregation.RegisterAlarmServiceHandlerClient(ctx, mux, aggregation.NewAlarmServiceClient(agg)),
		mediaprobe.RegisterVideoServiceHandlerClient(ctx, mux, mediaprobe.NewVideoServiceClient(med)),
		notification.RegisterNotificationServiceHandlerClient(ctx, mux, notification.NewNotificationServiceClient(not)),
		notification.RegisterChannelPlanServiceHandlerClient(ctx, mux, notification.NewChannelPlanServiceClient(not)),
		notification.RegisterNotificationStatisticsServiceHandlerClient(ctx, mux, notification.NewNotificationStatisticsServiceClient(not)),
		notification.RegisterEndpointServiceHandlerClient(ctx, mux, notification.NewEndpointServiceClient(not)),
		notification.RegisterInvoiceServiceHandlerClient(ctx, mux, notification.NewInvoiceServiceClient(not)),
		notification.RegisterReminderServiceHandlerClient(ctx, mux, notification.NewReminderServiceClient(not)),
		notification.RegisterWebhookServiceHandlerClient(ctx, mux, notification.NewWebhookServiceClient(not)),
		notification.RegisterTrackingServiceHandlerClient(ctx, mux, notification.NewTrackingServiceClient(not)),
		notification.RegisterDeadLetterServiceHandlerClient(ctx, mux, notification.NewDeadLetterServiceClient(not)),
		notification.RegisterOperationsServiceHandlerClient(ctx, mux, notification.NewOperationsServiceClient(not)),
		notification.RegisterDeliveryReceiptServiceHandlerClient(ctx, mux, notification.NewDeliveryReceiptServiceClient(not)),
	)
}
