/** What the commands for members share: their arguments, and how an answer that lists members is shown. */
import type { AnyCodec, Field, etcdserverpb } from '@etcd-ts/api'
import type { FlagSet, FlagSpec } from '../../cli/flags.ts'
import { parseInteger } from '../../cli/numbers.ts'
import { badArguments, errorText } from '../../exit.ts'
import type { Io } from '../../io.ts'
import { display, messageViews } from '../../output/display.ts'
import { messageJson } from '../../output/json.ts'
import type { Session } from '../../session.ts'

/** The only argument as a member's id. @throws ExitError */
export function memberIdOf(args: readonly string[]): bigint {
  const [text] = args
  if (text === undefined || args.length > 1) throw badArguments('member ID is not provided')
  try {
    return parseInteger(text, { base: 16, signed: false })
  } catch (error) {
    throw badArguments(`bad member ID arg (${errorText(error)}), expecting ID in Hex`)
  }
}

/** The flag `--peer-urls` of `member`. */
export function peerUrlsFlag(member: string): FlagSpec {
  return { name: 'peer-urls', type: 'string', usage: `peer URLs of ${member}, comma-separated` }
}

/** The value of `--peer-urls`. @throws ExitError when there is none */
export function peerUrlsOf(flags: FlagSet): string[] {
  const text = flags.text('peer-urls')
  if (text === '') throw badArguments('member peer urls not provided')
  return text.split(',')
}

/** An answer to a change of members. */
interface ChangeAnswer {
  readonly header: etcdserverpb.ResponseHeader | undefined
}

/** Shows `answer`: in the simple format as `Member ID CHANGE CLUSTER-ID` and the lines of `more`. */
export function displayChange(
  { format, hex }: Session,
  io: Io,
  codec: AnyCodec,
  answer: ChangeAnswer,
  { memberId, change, more = '' }: { memberId: bigint; change: string; more?: string },
): void {
  const clusterId = answer.header?.clusterId ?? 0n
  display(io, format, {
    ...memberViews(codec, answer, hex),
    simple: () => `Member ${padded(memberId)} ${change} cluster ${padded(clusterId)}\n${more}`,
  })
}

/** The formats that an answer with members has from its message alone. */
export function memberViews(
  codec: AnyCodec,
  answer: object,
  hex: boolean,
): ReturnType<typeof messageViews<object>> {
  const views = messageViews(codec, answer)
  return hex ? { ...views, json: () => `${messageJson(codec, answer, hexId)}\n` } : views
}

/** Ids as strings of hexadecimal digits, as every other format shows them. */
export function hexId(field: Field, value: unknown): string | undefined {
  const isId = field.name === 'ID' || field.name === 'cluster_id' || field.name === 'member_id'
  return isId && typeof value === 'bigint' ? `"${value.toString(16)}"` : undefined
}

/** 16 columns, filled with blanks. */
function padded(id: bigint): string {
  return id.toString(16).padStart(16)
}
