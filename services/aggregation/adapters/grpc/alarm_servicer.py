"""AlarmService: message -> use case -> message."""

from typing import Any

from google.protobuf.empty_pb2 import Empty

from services.aggregation.adapters.grpc import alarm_mappers as to
from services.aggregation.application.alarms.alarm_rules import AlarmRules
from services.aggregation.application.alarms.alarms import Alarms
from services.aggregation.application.alarms.rule_trial import RuleTrial
from services.aggregation.domain.errors import FieldInvalid
from services.chassis.ids import ID_RULE, is_id
from tocsin.aggregation.v1 import alarm_pb2 as am
from tocsin.aggregation.v1 import alarm_service_pb2 as pb
from tocsin.aggregation.v1.alarm_service_pb2_grpc import AlarmServiceServicer


class AlarmServicer(AlarmServiceServicer):
    """See alarm_service.proto."""

    def __init__(self, rules: AlarmRules, alarms: Alarms, trial: RuleTrial) -> None:
        self._rules = rules
        self._trial = trial
        self._alarms = alarms

    async def CreateAlarmRule(self, request: pb.CreateAlarmRuleRequest, context: Any) -> am.AlarmRule:
        return to.rule_message(*await self._rules.create(to.rule_of(request.rule)))

    async def TryAlarmRule(self, request: pb.TryAlarmRuleRequest, context: Any) -> pb.TryAlarmRuleResponse:
        since = to.event_time(request.since, "since") if request.HasField("since") else None
        rule = await self._rules.checked(to.rule_of(request.rule))
        return to.trial_message(await self._trial.run(rule, since))

    async def GetAlarmRule(self, request: pb.GetAlarmRuleRequest, context: Any) -> am.AlarmRule:
        return to.rule_message(*await self._rules.get(request.id))

    async def ListAlarmRules(self, request: pb.ListAlarmRulesRequest, context: Any) -> pb.ListAlarmRulesResponse:
        page = await self._rules.list_rules(request.page_size, request.page_token)
        return pb.ListAlarmRulesResponse(
            rules=[to.rule_message(rule, match) for rule, match in page.items], next_page_token=page.next_token
        )

    async def UpdateAlarmRule(self, request: pb.UpdateAlarmRuleRequest, context: Any) -> am.AlarmRule:
        if not is_id(request.rule.id):
            raise FieldInvalid("rule.id", ID_RULE, "STRING_RESOURCE_ID")
        return to.rule_message(*await self._rules.update(request.rule.id, to.rule_change(request)))

    async def DeleteAlarmRule(self, request: pb.DeleteAlarmRuleRequest, context: Any) -> Empty:
        await self._rules.delete(request.id)
        return Empty()

    async def GetAlarm(self, request: pb.GetAlarmRequest, context: Any) -> am.Alarm:
        return to.alarm_message(await self._alarms.get(request.id))

    async def ListAlarms(self, request: pb.ListAlarmsRequest, context: Any) -> pb.ListAlarmsResponse:
        page = await self._alarms.list_alarms(to.list_query(request))
        return pb.ListAlarmsResponse(
            alarms=[to.alarm_message(alarm) for alarm in page.items], next_page_token=page.next_token
        )

    async def AcknowledgeAlarm(self, request: pb.AcknowledgeAlarmRequest, context: Any) -> am.Alarm:
        return to.alarm_message(await self._alarms.acknowledge(request.id, request.note))

    async def CloseAlarm(self, request: pb.CloseAlarmRequest, context: Any) -> am.Alarm:
        return to.alarm_message(await self._alarms.close(request.id, request.reason))
