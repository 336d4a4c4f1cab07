import type { IncomingMessage, ServerResponse } from 'node:http'
import { answer, answerError, answerNotFound, refusesMethod, targetOf } from './answer.ts'

/** What the health answers are made from. */
export interface HealthSource {
  /** Names of the active alarm types (`NOSPACE`, `CORRUPT`). */
  activeAlarms(): string[]
  hasLeader(): boolean
  isLearner(): boolean
  /** Reads one key with root rights. @throws when the read fails, with etcd's text */
  read(options: { serializable: boolean }): Promise<void>
}

const TEXT = 'text/plain; charset=utf-8'

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

async function unhealthyReason(source: HealthSource, query: URLSearchParams): Promise<string | undefined> {
  const excluded = query.getAll('exclude')
  const alarm = source.activeAlarms().find((name) => !excluded.includes(name))
  if (alarm !== undefined) return `ALARM ${alarm}`
  const serializable = query.get('serializable') === 'true'
  if (!serializable && !source.hasLeader()) return 'RAFT NO LEADER'
  try {
    await source.read({ serializable })
    return undefined
  } catch (error) {
    return `RANGE ERROR:${textOf(error)}`
  }
}

async function answerHealth(
  source: HealthSource,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (refusesMethod(request, response, ['GET'])) return
  const reason = await unhealthyReason(source, targetOf(request).searchParams)
  if (reason === undefined) answer(response, TEXT, '{"health":"true","reason":""}')
  else answerError(response, 503, JSON.stringify({ health: 'false', reason }))
}

type Check = (source: HealthSource) => Promise<void>

const checks: Readonly<Record<string, Check>> = {
  data_corruption: async (source) => {
    if (source.activeAlarms().includes('CORRUPT')) throw new Error('alarm activated: CORRUPT')
  },
  serializable_read: (source) => source.read({ serializable: true }),
  linearizable_read: (source) => source.read({ serializable: false }),
  non_learner: async (source) => {
    if (source.isLearner()) throw new Error('not supported for learner')
  },
}

/** Checks of `/livez` (is this process worth keeping?) and `/readyz` (may it get traffic?). */
const probes: Readonly<Record<string, readonly string[]>> = {
  '/livez': ['serializable_read'],
  '/readyz': ['data_corruption', 'serializable_read', 'linearizable_read', 'non_learner'],
}

async function answerProbe(
  source: HealthSource,
  names: readonly string[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (refusesMethod(request, response, ['GET'])) return
  const lines: string[] = []
  let failed = false
  for (const name of names) {
    try {
      await checks[name]?.(source)
      lines.push(`[+]${name} ok\n`)
    } catch (error) {
      failed = true
      lines.push(`[-]${name} failed: ${textOf(error)}\n`)
    }
  }
  if (failed) {
    answerError(response, 503, lines.join(''))
    return
  }
  response.setHeader('X-Content-Type-Options', 'nosniff')
  answer(response, TEXT, `${targetOf(request).searchParams.has('verbose') ? lines.join('') : ''}ok\n`)
}

/**
 * Answers `/health`, `/livez`, `/readyz` and their sub-paths.
 * @returns false when the path is another one
 */
export async function handleHealth(
  source: HealthSource,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  const { pathname, searchParams } = targetOf(request)
  if (pathname === '/health') {
    await answerHealth(source, request, response)
    return true
  }
  for (const [probe, names] of Object.entries(probes)) {
    if (pathname === probe) {
      const excluded = searchParams.getAll('exclude')
      await answerProbe(
        source,
        names.filter((name) => !excluded.includes(name)),
        request,
        response,
      )
      return true
    }
    if (pathname.startsWith(`${probe}/`)) {
      const name = pathname.slice(probe.length + 1)
      if (names.includes(name)) await answerProbe(source, [name], request, response)
      else answerNotFound(response)
      return true
    }
  }
  return false
}
