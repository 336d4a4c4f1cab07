/**
 * Segments: the files of the log. `<sequence>-<index>.wal`, both 16 hexadecimal digits: segments are numbered without gaps,
 * and `index` is that of the first entry the segment may hold.
 */
import type { Disk } from '@etcd-ts/platform'
import { join } from 'node:path'
import { WalError } from './wal-error.ts'

export interface SegmentName {
  readonly sequence: number
  readonly index: number
  readonly name: string
}

const NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/

export function segmentName(sequence: number, index: number): SegmentName {
  return { sequence, index, name: `${hex16(sequence)}-${hex16(index)}.wal` }
}

function hex16(value: number): string {
  return value.toString(16).padStart(16, '0')
}

/** The segments in a folder, oldest first. Other files do not count. */
export function listSegments(disk: Disk, dir: string): SegmentName[] {
  const segments: SegmentName[] = []
  for (const name of disk.list(dir)) {
    const match = NAME.exec(name)
    if (match === null) continue
    const sequence = Number.parseInt(match[1]!, 16)
    const index = Number.parseInt(match[2]!, 16)
    if (!Number.isSafeInteger(sequence) || !Number.isSafeInteger(index)) {
      throw new WalError('damaged', `wal: ${join(dir, name)}: numbers above 2^53 - 1 in the name`)
    }
    segments.push({ sequence, index, name })
  }
  return segments
}

/** The newest segments that follow each other without a gap: older ones may have been purged in any order. */
export function lastRun(segments: readonly SegmentName[]): SegmentName[] {
  let first = segments.length - 1
  while (first > 0 && segments[first - 1]!.sequence === segments[first]!.sequence - 1) first--
  return segments.slice(Math.max(first, 0))
}

/**
 * The segments that hold everything behind entry `index`: the last one that may begin at or before it, and all later ones.
 *
 * @throws WalError `missing` when there is none, `conflict` when one between them is missing or they are out of order
 */
export function segmentsFrom(segments: readonly SegmentName[], index: number, dir: string): SegmentName[] {
  let first = segments.length - 1
  while (first >= 0 && segments[first]!.index > index) first--
  if (first < 0)
    throw new WalError('missing', `wal: file not found: no segment in ${dir} reaches back to index ${index}`)
  const needed = segments.slice(first)
  needed.forEach((segment, i) => {
    const before = needed[i - 1]
    if (before === undefined) return
    if (segment.sequence !== before.sequence + 1) {
      throw new WalError(
        'conflict',
        `wal: ${join(dir, segment.name)} does not follow ${before.name}: a segment is missing`,
      )
    }
  })
  return needed
}
