import { etcdserverpb } from '@etcd-ts/api'
import { ExitCode, ExitError } from '../../exit.ts'
import type { Io } from '../../io.ts'
import { display, messageViews, type Format } from '../../output/display.ts'
import { fieldLine, headerFields } from '../../output/fields.ts'

const { AlarmResponse, AlarmType } = etcdserverpb

export function displayAlarms(io: Io, format: Format, answer: etcdserverpb.AlarmResponse): void {
  display(io, format, {
    ...messageViews(AlarmResponse, answer),
    simple: () =>
      answer.alarms
        .map(({ memberID, alarm }) => `${memberPart(memberID)}alarm:${alarmName(alarm)} \n`)
        .join(''),
    fields: () => alarmFields(answer),
  })
}

function alarmFields({ header, alarms }: etcdserverpb.AlarmResponse): string {
  // Members before 3.5 send none, and there etcdctl ends with this code, too.
  if (!header) throw new ExitError(ExitCode.BadConnection, 'the answer has no header to show as fields')
  const lines = alarms.map(({ memberID, alarm }) => {
    return `${fieldLine('MemberID', memberID)}"AlarmType" : ${alarmName(alarm)}\n\n`
  })
  return headerFields(header) + lines.join('')
}

/** The member of an alarm as protobuf's text format has it, which leaves zeros out. */
function memberPart(memberId: bigint): string {
  return memberId === 0n ? '' : `memberID:${memberId} `
}

function alarmName(alarm: number): string {
  const known = Object.entries(AlarmType).find(([, value]) => value === alarm)
  return known ? known[0] : String(alarm)
}
