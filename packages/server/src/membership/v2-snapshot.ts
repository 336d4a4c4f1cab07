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
import type { Cluster } from './cluster.ts'
import { goJsonString, parseExactJson } from './go-json.ts'
import { hexId } from './ids.ts'
import { type Member, attributesJson, parseAttributes, parseRaftAttributes, raftAttributesJson } from './member.ts'

const PERMANENT = '0001-01-01T00:00:00Z'

type Tree = { readonly value: string } | { readonly children: ReadonlyMap<string, Tree> }

function nodeJson(path: string, tree: Tree): string {
  const head = `{"Path":${goJsonString(path)},"CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"${PERMANENT}"`
  if ('value' in tree) return `${head},"Value":${goJsonString(tree.value)},"Children":null}`
  const children = [...tree.children].map(
    ([name, child]) => `${goJsonString(name)}:${nodeJson(path === '/' ? `/${name}` : `${path}/${name}`, child)}`,
  )
  return `${head},"Value":"","Children":{${children.join(',')}}}`
}

function directory(entries: readonly (readonly [string, Tree])[]): Tree {
  return { children: new Map([...entries].sort(([a], [b]) => (a < b ? -1 : 1))) }
}

function memberTree(member: Member): Tree {
  const entries: [string, Tree][] = [['raftAttributes', { value: raftAttributesJson(member) }]]
  if (member.name !== '' || member.clientUrls.length > 0) entries.push(['attributes', { value: attributesJson(member) }])
  return directory(entries)
}

/** Writes the membership as the v2 store that a member of 3.4, 3.5 or 3.6 recovers from. */
export function encodeV2Snapshot(cluster: Cluster): Uint8Array {
  const entries: [string, Tree][] = [
    ['members', directory(cluster.members().map((member) => [hexId(member.id), memberTree(member)]))],
  ]
  const removed = cluster.removedIds()
  if (removed.length > 0) entries.push(['removed_members', directory(removed.map((id) => [hexId(id), { value: '' }]))])
  if (cluster.version !== undefined) entries.push(['version', { value: cluster.version }])
  const root = directory([
    ['0', directory(entries)],
    ['1', directory([])],
  ])
  return Buffer.from(`{"Root":${nodeJson('/', root)},"CurrentIndex":0,"CurrentVersion":2}`)
}

interface ParsedNode {
  readonly Value?: string
  readonly Children?: Record<string, ParsedNode> | null
}

function childrenOf(node: ParsedNode | undefined): [string, ParsedNode][] {
  return Object.entries(node?.Children ?? {})
}

function idOf(hex: string): bigint {
  if (!/^[0-9a-f]{1,16}$/.test(hex)) throw new SyntaxError(`snapshot holds a member with the invalid id ${hex}`)
  return BigInt(`0x${hex}`)
}

function memberOf(hex: string, node: ParsedNode): Member {
  let peerUrls: readonly string[] | undefined
  let isLearner = false
  let attributes = { name: '', clientUrls: [] as readonly string[] }
  for (const [name, child] of childrenOf(node)) {
    if (name === 'raftAttributes') ({ peerUrls, isLearner } = parseRaftAttributes(child.Value ?? ''))
    else if (name === 'attributes') attributes = parseAttributes(child.Value ?? '')
    else throw new SyntaxError(`snapshot holds the unknown node ${name} below member ${hex}`)
  }
  if (peerUrls === undefined) throw new SyntaxError(`snapshot holds member ${hex} without raftAttributes`)
  return { id: idOf(hex), peerUrls, isLearner, ...attributes }
}

/** Restores `cluster` from the JSON of a raft snapshot. @throws SyntaxError when it is not a v2 store's tree */
export function restoreV2Snapshot(cluster: Cluster, data: Uint8Array): void {
  const document = parseExactJson(Buffer.from(data).toString('utf8')) as { Root?: ParsedNode }
  const store = document.Root?.Children?.['0']
  const members = childrenOf(store?.Children?.['members']).map(([hex, node]) => memberOf(hex, node))
  const removed = childrenOf(store?.Children?.['removed_members']).map(([hex]) => idOf(hex))
  cluster.restore(members, removed, store?.Children?.['version']?.Value)
}
