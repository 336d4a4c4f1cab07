import { GrpcError } from './grpc-client.ts'

const PAUSE_MS = 30

/**
 * Asks a running system again and again until it gives what is waited for. An answer of undefined, or a call that ended
 * with an error status, is asked for again after a short pause.
 *
 * @throws after `timeoutMs`, with `what` was waited for and the last error; any other error at once
 */
export async function eventually<Result>(
  what: string,
  timeoutMs: number,
  ask: () => Promise<Result | undefined>,
): Promise<Result> {
  const endMs = performance.now() + timeoutMs
  for (;;) {
    let last: unknown
    try {
      const result = await ask()
      if (result !== undefined) return result
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      last = error
    }
    if (performance.now() > endMs) {
      const reason = last instanceof Error ? `; the last answer: ${last.message}` : ''
      throw new Error(`waited ${timeoutMs} ms for ${what}${reason}`, { cause: last })
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}
