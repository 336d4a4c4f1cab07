import { ApiError } from '@etcd-ts/api'
import type { Command, Invocation } from '../../cli/command.ts'
import { formatDuration } from '../../cli/numbers.ts'
import { callErrorText } from '../../call-error.ts'
import { ExitCode, ExitError } from '../../exit.ts'
import type { Io } from '../../io.ts'
import { display } from '../../output/display.ts'
import { fieldLine } from '../../output/fields.ts'
import { textJson } from '../../output/json.ts'
import { table } from '../../output/table.ts'
import { openSession, type Session } from '../../session.ts'
import { memberEndpoints } from './member-endpoints.ts'

/** A key that every member can look for; whether it exists does not matter. */
const PROBE = Buffer.from('health')

export const health: Command = {
  name: 'health',
  use: 'health',
  short: 'Asks each endpoint whether it can commit',
  run,
}

interface Health {
  readonly endpoint: string
  readonly healthy: boolean
  readonly took: string
  readonly error: string
}

async function run(invocation: Invocation): Promise<void> {
  const { flags, io } = invocation
  const session = await openSession(invocation)
  const endpoints = await memberEndpoints(session, flags)
  // In the order of the answers.
  const results: Health[] = []
  await Promise.all(
    endpoints.map(async (endpoint) => {
      results.push(await probe(session, endpoint))
    }),
  )
  display(io, session.format, {
    simple: () => reportLines(io, results),
    json: () => `[${results.map(healthJson).join(',')}]\n`,
    fields: () => results.map(healthFields).join(''),
    table: () =>
      table(
        ['endpoint', 'health', 'took', 'error'],
        results.map(({ endpoint, healthy, took, error }) => [endpoint, String(healthy), took, error]),
      ),
  })
  if (!results.every(({ healthy }) => healthy)) throw new ExitError(ExitCode.Error, 'unhealthy cluster')
}

/** Healthy is who answers a linearizable read, be it with a refusal. */
async function probe(session: Session, endpoint: string): Promise<Health> {
  let started = process.hrtime.bigint()
  const took = (): string => formatDuration(process.hrtime.bigint() - started)
  try {
    const client = await session.connect([endpoint])
    started = process.hrtime.bigint()
    await client.kv.range({ key: PROBE }, session)
  } catch (error) {
    const denied = error instanceof ApiError && error.reason === 'permissionDenied'
    return { endpoint, healthy: denied, took: took(), error: denied ? '' : callErrorText(error) }
  }
  return { endpoint, healthy: true, took: took(), error: '' }
}

/** Lines for people go to stderr: in etcdctl 3.4 all of them do. */
function reportLines(io: Io, results: readonly Health[]): string {
  for (const { endpoint, healthy, took, error } of results) {
    io.err(
      healthy
        ? `${endpoint} is healthy: successfully committed proposal: took = ${took}\n`
        : `${endpoint} is unhealthy: failed to commit proposal: ${error}\n`,
    )
  }
  return ''
}

function healthJson({ endpoint, healthy, took, error }: Health): string {
  const reason = error === '' ? '' : `,"error":${textJson(error)}`
  return `{"endpoint":${textJson(endpoint)},"health":${healthy},"took":"${took}"${reason}}`
}

function healthFields({ endpoint, healthy, took, error }: Health): string {
  const lines = fieldLine('Endpoint', endpoint) + fieldLine('Health', healthy)
  return `${lines}"Took" : ${took}\n"Error" : ${error}\n\n`
}
