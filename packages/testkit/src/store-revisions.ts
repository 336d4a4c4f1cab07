import { etcdserverpb, mvccpb } from '@etcd-ts/api'
import type { GrpcClient } from './grpc-client.ts'
import { fromBytes } from './kv-wire.ts'
import type { StoreEvent, StoreRevision } from './revision-order.ts'

/**
 * Everything that ever happened to a member's store, up to `revision`, as the member tells a watcher; nothing must have
 * been compacted.
 *
 * @throws when it has not told all of it after `timeoutMs`
 */
export async function readStoreRevisions(
  member: GrpcClient,
  revision: number,
  timeoutMs = 30_000,
): Promise<StoreRevision[]> {
  const { path, request, response } = etcdserverpb.WatchService.Watch
  const everything = { key: Buffer.of(0), rangeEnd: Buffer.of(0), startRevision: 1n }
  const revisions: { revision: number; events: StoreEvent[] }[] = []
  if (revision <= 1) return revisions
  let timer: NodeJS.Timeout | undefined
  let cancel = (): void => undefined
  const message = request.encode({ requestUnion: { case: 'createRequest', value: everything } })
  try {
    await new Promise<void>((resolve, reject) => {
      const stream = member.open(path, message, (bytes) => {
        const { events, canceled, cancelReason } = response.decode(bytes)
        if (canceled) reject(new Error(`the watch was cancelled: ${cancelReason}`))
        for (const event of events) add(revisions, event)
        if ((revisions.at(-1)?.revision ?? 0) >= revision) resolve()
      })
      void stream.ended.then(reject)
      timer = setTimeout(() => {
        const last = revisions.at(-1)?.revision
        reject(new Error(`watched up to revision ${last}, not ${revision}, in ${timeoutMs} ms`))
      }, timeoutMs)
      cancel = () => stream.cancel()
    })
  } finally {
    clearTimeout(timer)
    cancel()
  }
  return revisions
}

function add(revisions: { revision: number; events: StoreEvent[] }[], { type, kv }: mvccpb.Event): void {
  if (kv === undefined) throw new Error('an event without a key')
  const key = fromBytes(kv.key)
  let last = revisions.at(-1)
  if (last === undefined || last.revision < kv.modRevision) {
    last = { revision: kv.modRevision, events: [] }
    revisions.push(last)
  }
  if (last.revision !== kv.modRevision) {
    throw new Error(`an event of revision ${kv.modRevision} after one of ${last.revision}`)
  }
  last.events.push(
    type === mvccpb.EventType.DELETE
      ? { kind: 'delete', key }
      : { kind: 'put', kv: { ...kv, key, value: fromBytes(kv.value) } },
  )
}
