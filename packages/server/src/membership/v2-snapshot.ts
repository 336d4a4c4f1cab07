/**
 * The document inside a raft snapshot (`.snap` files, MsgSnap): the v2 store's tree as JSON.
 *
 * Members of 3.4 and 3.5 take the membership and the cluster version from it:
 *   /0/members/<id hex>/raftAttributes   {"peerURLs":[..],"isLearner":true?}
 *   /0/members/<id hex>/attributes       {"name":..,"clientURLs":[..]}      once published
 *   /0/removed_members/<id hex>          empty
 *   /0/version                           X.Y.0
 * A node has Path, CreatedIndex, ModifiedIndex, ExpireTime, Value and Children (null for a file).
 */
import { JsonNumber, type JsonValue, formatJson, parseJson } from '@etcd-ts/api'
import type { Cluster } from './cluster.ts'
import { hexId } from './ids.ts'
import {
  type Member,
  attributesJson,
  parseAttributes,
  parseRaftAttributes,
  raftAttributesJson,
} from './member.ts'

const PERMANENT = '0001-01-01T00:00:00Z'

type Tree = { readonly value: string } | { readonly children: ReadonlyMap<string, Tree> }

function nodeJson(path: string, tree: Tree): string {
  const head = `{"Path":${formatJson(path)},"CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"${PERMANENT}"`
  if ('value' in tree) return `${head},"Value":${formatJson(tree.value)},"Children":null}`
  const children = [...tree.children].map(
    ([name, child]) =>
      `${formatJson(name)}:${nodeJson(path === '/' ? `/${name}` : `${path}/${name}`, child)}`,
  )
  return `${head},"Value":"","Children":{${children.join(',')}}}`
}

function directory(entries: readonly (readonly [string, Tree])[]): Tree {
  return { children: new Map([...entries].sort(([a], [b]) => (a < b ? -1 : 1))) }
}

function memberTree(member: Member): Tree {
  const entries: [string, Tree][] = [['raftAttributes', { value: raftAttributesJson(member) }]]
  if (member.name !== '' || member.clientUrls.length > 0)
    entries.push(['attributes', { value: attributesJson(member) }])
  return directory(entries)
}

/** Writes the membership as the v2 store that a member of 3.4, 3.5 or 3.6 recovers from. */
export function encodeV2Snapshot(cluster: Cluster): Uint8Array {
  const entries: [string, Tree][] = [
    ['members', directory(cluster.members().map((member) => [hexId(member.id), memberTree(member)]))],
  ]
  const removed = cluster.removedIds()
  if (removed.length > 0)
    entries.push(['removed_members', directory(removed.map((id) => [hexId(id), { value: '' }]))])
  if (cluster.version !== undefined) entries.push(['version', { value: cluster.version }])
  const root = directory([
    ['0', directory(entries)],
    ['1', directory([])],
  ])
  return Buffer.from(`{"Root":${nodeJson('/', root)},"CurrentIndex":0,"CurrentVersion":2}`)
}

type Fields = Readonly<Record<string, JsonValue | undefined>>

function fieldsOf(value: JsonValue | undefined): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof JsonNumber)
    return {}
  return value as Fields
}

function childOf(node: JsonValue | undefined, name: string): JsonValue | undefined {
  return fieldsOf(fieldsOf(node)['Children'])[name]
}

function childrenOf(node: JsonValue | undefined): [string, JsonValue | undefined][] {
  return Object.entries(fieldsOf(fieldsOf(node)['Children']))
}

function valueOf(node: JsonValue | undefined): string | undefined {
  const value = fieldsOf(node)['Value']
  return typeof value === 'string' ? value : undefined
}

function idOf(hex: string): bigint {
  if (!/^[0-9a-f]{1,16}$/.test(hex)) throw new Error(`the snapshot holds a member with the invalid id ${hex}`)
  return BigInt(`0x${hex}`)
}

function memberOf(hex: string, node: JsonValue | undefined): Member {
  const raftAttributes = valueOf(childOf(node, 'raftAttributes'))
  if (raftAttributes === undefined) throw new Error(`the snapshot holds member ${hex} without raftAttributes`)
  const attributes = parseAttributes(valueOf(childOf(node, 'attributes')) ?? '{}')
  return { id: idOf(hex), ...parseRaftAttributes(raftAttributes), ...attributes }
}

/** Restores `cluster` from the JSON of a raft snapshot. @throws JsonError or Error when it is not a v2 store's tree */
export function restoreV2Snapshot(cluster: Cluster, data: Uint8Array): void {
  const root = fieldsOf(parseJson(Buffer.from(data).toString('utf8')))['Root']
  const store = childOf(root, '0')
  const members = childrenOf(childOf(store, 'members')).map(([hex, node]) => memberOf(hex, node))
  const removed = childrenOf(childOf(store, 'removed_members')).map(([hex]) => idOf(hex))
  cluster.restore(members, removed, valueOf(childOf(store, 'version')))
}
