import { GrpcKvClient } from './kv-clients.ts'
import type { RangeCall, RangeResult } from './kv-types.ts'
import type { StoreEvent, StoreRevision } from './revision-order.ts'
import { show } from './show.ts'

const READS_AT_A_TIME = 32
const everything = { kind: 'range', key: '\0', rangeEnd: '\0', serializable: true } as const

/**
 * What each revision of a member's store changed, up to `revision`, as reads of the past tell; nothing must have been
 * compacted.
 *
 * @param endpoint `host:port`
 */
export async function readStoreRevisions(endpoint: string, revision: number): Promise<StoreRevision[]> {
  const client = new GrpcKvClient(endpoint)
  const read = async (at: number, more: Partial<RangeCall>): Promise<RangeResult> => {
    const { answer } = await client.call({ ...everything, revision: BigInt(at), ...more })
    if (answer.kind !== 'range') throw new Error(`${endpoint}, revision ${at}: ${show(answer)}`)
    return answer
  }
  try {
    await client.grpc.connected()
    const results: RangeResult[] = []
    let next = 1
    const readSome = async (): Promise<void> => {
      // The pairs that this revision put, and the number of all.
      for (let at = next++; at <= revision; at = next++) {
        results[at] = await read(at, { minModRevision: BigInt(at) })
      }
    }
    await Promise.all(Array.from({ length: READS_AT_A_TIME }, readSome))
    const revisions: StoreRevision[] = []
    for (let at = 2; at <= revision; at++) {
      const [before, after] = [results[at - 1], results[at]]
      if (before === undefined || after === undefined) throw new Error(`revision ${at} was not read`)
      const events: StoreEvent[] = after.kvs.map((kv) => ({ kind: 'put', kv }))
      const created = after.kvs.filter((kv) => kv.version === 1).length
      if (before.count + created > after.count) events.push(...(await deletedAt(at, read)))
      revisions.push({ revision: at, events })
    }
    return revisions
  } finally {
    client.close()
  }
}

async function deletedAt(
  revision: number,
  read: (at: number, more: Partial<RangeCall>) => Promise<RangeResult>,
): Promise<StoreEvent[]> {
  const before = await read(revision - 1, { keysOnly: true })
  const after = await read(revision, { keysOnly: true })
  const left = new Set(after.kvs.map(({ key }) => key))
  return before.kvs.filter(({ key }) => !left.has(key)).map(({ key }) => ({ kind: 'delete', key }))
}
