import { etcdserverpb } from '@etcd-ts/api'
import type { Backend } from '@etcd-ts/backend'

const BUCKET = 'alarm'

/** The alarms that are active anywhere in the cluster; in the backend and, for the checks of every write, in memory. */
export class Alarms {
  readonly #backend: Backend
  readonly #active = new Map<string, etcdserverpb.AlarmMember>()
  /** Any member is out of space: writes that cost space are refused. */
  noSpace = false
  /** Some member's data differs: all writes are refused. */
  corrupt = false

  /** Reads the alarms that `backend` holds. */
  constructor(backend: Backend) {
    this.#backend = backend
    this.reload()
  }

  /** Takes over what the backend holds now, after its state was replaced. */
  reload(): void {
    this.#active.clear()
    for (const [key] of this.#backend.range(BUCKET)) {
      const alarm = etcdserverpb.AlarmMember.decode(key.slice())
      this.#active.set(keyOf(alarm), alarm)
    }
    this.#refresh()
  }

  /** All active alarms, or those of one type. */
  list(type: number = etcdserverpb.AlarmType.NONE): etcdserverpb.AlarmMember[] {
    return [...this.#active.values()].filter(
      (alarm) => type === etcdserverpb.AlarmType.NONE || alarm.alarm === type,
    )
  }

  /** @returns the alarm, also when it was active before */
  activate(memberID: bigint, type: etcdserverpb.AlarmType): etcdserverpb.AlarmMember {
    const alarm = { memberID, alarm: type }
    const known = this.#active.get(keyOf(alarm))
    if (known !== undefined) return known
    this.#active.set(keyOf(alarm), alarm)
    this.#backend.put(BUCKET, etcdserverpb.AlarmMember.encode(alarm), new Uint8Array())
    this.#refresh()
    return alarm
  }

  /** @returns the alarm, or undefined when it was not active */
  deactivate(memberID: bigint, type: etcdserverpb.AlarmType): etcdserverpb.AlarmMember | undefined {
    const alarm = this.#active.get(keyOf({ memberID, alarm: type }))
    if (alarm === undefined) return undefined
    this.#active.delete(keyOf(alarm))
    this.#backend.delete(BUCKET, etcdserverpb.AlarmMember.encode(alarm))
    this.#refresh()
    return alarm
  }

  #refresh(): void {
    this.noSpace = this.list(etcdserverpb.AlarmType.NOSPACE).length > 0
    this.corrupt = this.list(etcdserverpb.AlarmType.CORRUPT).length > 0
  }
}

function keyOf(alarm: etcdserverpb.AlarmMember): string {
  return `${alarm.memberID}/${alarm.alarm}`
}

/** `NOSPACE`, `CORRUPT`. */
export function alarmName(type: number): string {
  return Object.entries(etcdserverpb.AlarmType).find(([, value]) => value === type)?.[0] ?? 'UNKNOWN'
}
