let second = Number.NaN
let secondText = ''
let zoneText = ''

/**
 * A time as `2006-01-02T15:04:05.000Z`, or with the offset of the local zone (`+0100`) where that is not UTC.
 *
 * @param wallMs milliseconds since the Unix epoch
 */
export function zapTime(wallMs: number): string {
  const now = Math.floor(wallMs / 1000)
  if (now !== second) {
    // oxlint-disable-next-line no-restricted-globals -- the calendar of a time that the clock gave, not the clock
    const date = new Date(now * 1000)
    second = now
    secondText = calendar(date.getFullYear(), date.getMonth() + 1, date.getDate(), ':', [
      date.getHours(),
      date.getMinutes(),
      date.getSeconds(),
    ])
    zoneText = zone(-date.getTimezoneOffset())
  }
  return `${secondText}.${pad(Math.floor(wallMs - now * 1000), 3)}${zoneText}`
}

/** A time as lumberjack puts it into the names of old files: `2006-01-02T15-04-05.000`. */
export function fileTime(wallMs: number, localTime: boolean): string {
  // oxlint-disable-next-line no-restricted-globals -- as above
  const date = new Date(wallMs)
  const day = localTime
    ? ([date.getFullYear(), date.getMonth() + 1, date.getDate()] as const)
    : ([date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()] as const)
  const time = localTime
    ? [date.getHours(), date.getMinutes(), date.getSeconds()]
    : [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
  return `${calendar(...day, '-', time)}.${pad(date.getUTCMilliseconds(), 3)}`
}

/** The time in a file's name, as milliseconds since the epoch, or undefined when there is none. */
export function parseFileTime(text: string, localTime: boolean): number | undefined {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d\.\d{3})$/.exec(text)
  if (match === null) return undefined
  const [, day, hours, minutes, seconds] = match
  // oxlint-disable-next-line no-restricted-globals -- as above
  const ms = Date.parse(`${day}T${hours}:${minutes}:${seconds}${localTime ? '' : 'Z'}`)
  return Number.isNaN(ms) ? undefined : ms
}

function calendar(
  year: number,
  month: number,
  day: number,
  between: string,
  time: readonly number[],
): string {
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}T${time.map((part) => pad(part, 2)).join(between)}`
}

function zone(minutesEast: number): string {
  if (minutesEast === 0) return 'Z'
  const size = Math.abs(minutesEast)
  return `${minutesEast < 0 ? '-' : '+'}${pad(Math.floor(size / 60), 2)}${pad(size % 60, 2)}`
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0')
}
