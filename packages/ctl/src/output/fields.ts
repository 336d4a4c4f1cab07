/** The `fields` format: one `"Name" : value` a line. */
import type { etcdserverpb, mvccpb } from '@etcd-ts/api'
import { quote, quoteText } from '../cli/quote.ts'

/** One line; text and bytes are quoted. */
export function fieldLine(name: string, value: string | number | bigint | boolean | Uint8Array): string {
  if (typeof value === 'string') return `"${name}" : ${quoteText(value)}\n`
  return `"${name}" : ${value instanceof Uint8Array ? quote(value) : String(value)}\n`
}

/** The header of an answer; an answer inside a transaction has but a revision. */
export function headerFields(header: etcdserverpb.ResponseHeader | undefined): string {
  return (
    fieldLine('ClusterID', header?.clusterId ?? 0n) +
    fieldLine('MemberID', header?.memberId ?? 0n) +
    fieldLine('Revision', header?.revision ?? 0) +
    fieldLine('RaftTerm', header?.raftTerm ?? 0)
  )
}

/** A key and its value; `prefix` (`Prev`) stands before each name. */
export function keyValueFields(kv: mvccpb.KeyValue, prefix = ''): string {
  return (
    fieldLine(`${prefix}Key`, kv.key) +
    fieldLine(`${prefix}CreateRevision`, kv.createRevision) +
    fieldLine(`${prefix}ModRevision`, kv.modRevision) +
    fieldLine(`${prefix}Version`, kv.version) +
    fieldLine(`${prefix}Value`, kv.value) +
    fieldLine(`${prefix}Lease`, kv.lease)
  )
}
