import { etcdserverpb } from '@etcd-ts/api'
import { callErrorText } from '../../call-error.ts'
import type { Command, Invocation } from '../../cli/command.ts'
import { parseInteger } from '../../cli/numbers.ts'
import { ExitCode, ExitError, badArguments, errorText } from '../../exit.ts'
import { display } from '../../output/display.ts'
import { fieldLine, headerFields } from '../../output/fields.ts'
import { messageJson, textJson } from '../../output/json.ts'
import { openSession } from '../../session.ts'

const { ResponseHeader } = etcdserverpb

export const grant: Command = {
  name: 'grant',
  use: 'grant <ttl>',
  short: 'Makes a lease that lives for <ttl> seconds',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const { args, io } = invocation
  const [text] = args
  if (text === undefined || args.length > 1) throw badArguments('lease grant command needs TTL argument')
  const ttl = secondsOf(text)
  const session = await openSession(invocation)
  const client = await session.connect()
  const answer = await client.lease.grant({ TTL: ttl }, session).catch((error: unknown) => {
    const refusal = `failed to grant lease (${callErrorText(error)})`
    throw new ExitError(ExitCode.Error, refusal, { cause: error })
  })
  const id = answer.ID.toString(16).padStart(16, '0')
  display(io, session.format, {
    simple: () => `lease ${id} granted with TTL(${answer.TTL}s)\n`,
    json: () => grantJson(answer),
    fields: () => headerFields(answer.header) + fieldLine('ID', answer.ID) + fieldLine('TTL', answer.TTL),
    protobuf: () => ResponseHeader.encode(answer.header ?? {}),
  })
}

function secondsOf(text: string): bigint {
  try {
    return parseInteger(text, { base: 10, signed: true })
  } catch (error) {
    throw badArguments(`bad TTL (${errorText(error)})`)
  }
}

/** The header's members stand beside the lease's, which are shown even when they are zero. */
function grantJson(answer: etcdserverpb.LeaseGrantResponse): string {
  const header = messageJson(ResponseHeader, answer.header ?? {}).slice(1, -1)
  const members = `"ID":${answer.ID},"TTL":${answer.TTL},"Error":${textJson(answer.error)}`
  return `{${header}${header === '' ? '' : ','}${members}}\n`
}
