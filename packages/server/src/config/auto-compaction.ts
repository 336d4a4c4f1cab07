import { ConfigError, textOf } from './errors.ts'
import { parseDuration } from './go-values.ts'

export type AutoCompaction =
  | { readonly mode: 'off' }
  | { readonly mode: 'periodic'; readonly retentionMs: number }
  | { readonly mode: 'revision'; readonly retentionRevisions: number }

const HOUR_MS = 3_600_000

/**
 * Reads the pair of mode and retention: a bare count is hours or revisions, a duration in revision mode is its
 * count of nanoseconds, and nothing is compacted when retention is 0 or the mode empty.
 *
 * @param mode one that validation has accepted
 * @throws ConfigError
 */
export function parseAutoCompaction(mode: string, retention: string): AutoCompaction {
  const count = /^\+?\d+$/.test(retention) ? Number(retention) : undefined
  const ns = count === undefined ? readRetention(retention) : undefined
  if (mode === 'periodic') {
    const retentionMs = ns === undefined ? (count ?? 0) * HOUR_MS : ns / 1e6
    return retentionMs <= 0 ? { mode: 'off' } : { mode: 'periodic', retentionMs }
  }
  const retentionRevisions = mode === 'revision' ? (count ?? ns ?? 0) : 0
  return retentionRevisions <= 0 ? { mode: 'off' } : { mode: 'revision', retentionRevisions }
}

function readRetention(text: string): number {
  try {
    return Number(parseDuration(text))
  } catch (error) {
    throw new ConfigError(`error parsing CompactionRetention: ${textOf(error)}`, { cause: error })
  }
}
