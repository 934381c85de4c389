"""The servicer of the catalogue: message -> use case -> message."""

from typing import Any

from google.protobuf.empty_pb2 import Empty

from services.ingestion.adapters.grpc import catalogue_mappers as to
from services.ingestion.application.catalogue import CatalogueDesk
from tocsin.ingestion.v1 import catalogue_pb2 as entries
from tocsin.ingestion.v1 import catalogue_service_pb2 as pb
from tocsin.ingestion.v1.catalogue_service_pb2_grpc import CatalogueServiceServicer


class CatalogueServicer(CatalogueServiceServicer):
    """See catalogue_service.proto."""

    def __init__(self, desk: CatalogueDesk) -> None:
        self._desk = desk

    async def CreateSensorType(self, request: pb.CreateSensorTypeRequest, context: Any) -> entries.SensorType:
        return to.sensor_type_message(await self._desk.create_sensor_type(to.sensor_type(request.sensor_type)))

    async def GetSensorType(self, request: pb.GetSensorTypeRequest, context: Any) -> entries.SensorType:
        return to.sensor_type_message(await self._desk.get_sensor_type(request.id))

    async def ListSensorTypes(self, request: pb.ListSensorTypesRequest, context: Any) -> pb.ListSensorTypesResponse:
        page = await self._desk.list_sensor_types(request.page_size, request.page_token)
        found = [to.sensor_type_message(entry) for entry in page.items]
        return pb.ListSensorTypesResponse(sensor_types=found, next_page_token=page.next_token)

    async def UpdateSensorType(self, request: pb.UpdateSensorTypeRequest, context: Any) -> entries.SensorType:
        changes = to.changes(request.sensor_type, request.update_mask, to.SENSOR_TYPE, ("id",))
        return to.sensor_type_message(await self._desk.update_sensor_type(request.sensor_type.id, changes))

    async def DeleteSensorType(self, request: pb.DeleteSensorTypeRequest, context: Any) -> Empty:
        await self._desk.delete_sensor_type(request.id)
        return Empty()

    async def CreateBuilding(self, request: pb.CreateBuildingRequest, context: Any) -> entries.Building:
        return to.building_message(await self._desk.create_building(to.building(request.building)))

    async def GetBuilding(self, request: pb.GetBuildingRequest, context: Any) -> entries.Building:
        return to.building_message(await self._desk.get_building(request.id))

    async def ListBuildings(self, request: pb.ListBuildingsRequest, context: Any) -> pb.ListBuildingsResponse:
        page = await self._desk.list_buildings(request.page_size, request.page_token)
        found = [to.building_message(entry) for entry in page.items]
        return pb.ListBuildingsResponse(buildings=found, next_page_token=page.next_token)

    async def UpdateBuilding(self, request: pb.UpdateBuildingRequest, context: Any) -> entries.Building:
        changes = to.changes(request.building, request.update_mask, to.ATTRIBUTES, ("id",))
        return to.building_message(await self._desk.update_building(request.building.id, changes))

    async def DeleteBuilding(self, request: pb.DeleteBuildingRequest, context: Any) -> Empty:
        await self._desk.delete_building(request.id)
        return Empty()

    async def CreateRoom(self, request: pb.CreateRoomRequest, context: Any) -> entries.Room:
        return to.room_message(await self._desk.create_room(to.room(request.room)))

    async def GetRoom(self, request: pb.GetRoomRequest, context: Any) -> entries.Room:
        return to.room_message(await self._desk.get_room(request.building, request.id))

    async def ListRooms(self, request: pb.ListRoomsRequest, context: Any) -> pb.ListRoomsResponse:
        page = await self._desk.list_rooms(request.building, request.page_size, request.page_token)
        found = [to.room_message(entry) for entry in page.items]
        return pb.ListRoomsResponse(rooms=found, next_page_token=page.next_token)

    async def UpdateRoom(self, request: pb.UpdateRoomRequest, context: Any) -> entries.Room:
        changes = to.changes(request.room, request.update_mask, to.ATTRIBUTES, ("building", "id"))
        return to.room_message(await self._desk.update_room(request.room.building, request.room.id, changes))

    async def DeleteRoom(self, request: pb.DeleteRoomRequest, context: Any) -> Empty:
        await self._desk.delete_room(request.building, request.id)
        return Empty()

    async def CreateDevice(self, request: pb.CreateDeviceRequest, context: Any) -> entries.Device:
        return to.device_message(await self._desk.create_device(to.device(request.device)))

    async def GetDevice(self, request: pb.GetDeviceRequest, context: Any) -> entries.Device:
        return to.device_message(await self._desk.get_device(request.id))

    async def ListDevices(self, request: pb.ListDevicesRequest, context: Any) -> pb.ListDevicesResponse:
        page = await self._desk.list_devices(request.page_size, request.page_token)
        found = [to.device_message(entry) for entry in page.items]
        return pb.ListDevicesResponse(devices=found, next_page_token=page.next_token)

    async def UpdateDevice(self, request: pb.UpdateDeviceRequest, context: Any) -> entries.Device:
        changes = to.changes(request.device, request.update_mask, to.DEVICE, ("id",))
        return to.device_message(await self._desk.update_device(request.device.id, changes))

    async def DeleteDevice(self, request: pb.DeleteDeviceRequest, context: Any) -> Empty:
        await self._desk.delete_device(request.id)
        return Empty()
