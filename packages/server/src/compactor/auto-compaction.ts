import type { Clock } from '@etcd-ts/platform'
import type { AutoCompaction } from '../config/index.ts'
import type { Logger } from '../log/index.ts'

/** What a compactor watches and asks for. */
export interface CompactorPorts {
  revision(): number
  /** Only the leader compacts. */
  isLeader(): boolean
  /** Compacts through the log. @returns false when it failed; an already compacted revision is a success */
  compact(revision: number): Promise<boolean>
}

const HOUR_MS = 3_600_000
/** How often the revision compactor looks. */
const REVISION_CHECK_MS = 300_000
/** Samples per compaction interval of the periodic compactor. */
const SAMPLES_PER_INTERVAL = 10

/**
 * Keeps the history of the last `periodMs`: compacts to the revision of that long ago, every `periodMs` (every hour
 * when that is longer). Runs until `signal` aborts.
 */
export async function runPeriodicCompaction(
  periodMs: number,
  ports: CompactorPorts,
  clock: Clock,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const intervalMs = Math.min(periodMs, HOUR_MS)
  const sampleMs = intervalMs / SAMPLES_PER_INTERVAL
  const samplesMax = Math.floor(periodMs / sampleMs) + 1
  const samples: number[] = [ports.revision()]
  // The first compaction waits for a whole period of history.
  let dueMs = clock.monotonicMs() + periodMs
  while (await clock.sleep(sampleMs, signal)) {
    const nowMs = clock.monotonicMs()
    const oldest = samples[0] ?? 0
    if (ports.isLeader() && nowMs >= dueMs) {
      logger.info('starting auto periodic compaction', {
        revision: oldest,
        'compact-period': `${periodMs / 1000}s`,
      })
      if (await ports.compact(oldest)) {
        dueMs = nowMs + intervalMs
        logger.info('completed auto periodic compaction', { revision: oldest })
      } else {
        logger.warn('failed auto periodic compaction', { revision: oldest })
      }
    }
    samples.push(ports.revision())
    if (samples.length > samplesMax) samples.shift()
  }
}

/** Keeps the last `keep` revisions, looking every five minutes. Runs until `signal` aborts. */
export async function runRevisionCompaction(
  keep: number,
  ports: CompactorPorts,
  clock: Clock,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  let done = 0
  while (await clock.sleep(REVISION_CHECK_MS, signal)) {
    const revision = ports.revision() - keep
    if (!ports.isLeader() || revision <= 0 || revision === done) continue
    logger.info('starting auto revision compaction', { revision, 'revision-compaction-retention': keep })
    if (await ports.compact(revision)) {
      done = revision
      logger.info('completed auto revision compaction', { revision })
    } else {
      logger.warn('failed auto revision compaction', { revision })
    }
  }
}

/** Runs the compactor that the configuration asks for until `signal` aborts. */
export async function runAutoCompaction(
  config: AutoCompaction,
  ports: CompactorPorts,
  clock: Clock,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  if (config.mode === 'periodic')
    await runPeriodicCompaction(config.retentionMs, ports, clock, logger, signal)
  else if (config.mode === 'revision')
    await runRevisionCompaction(config.retentionRevisions, ports, clock, logger, signal)
}
