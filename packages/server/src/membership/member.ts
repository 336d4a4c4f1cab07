import { goJsonString, goJsonStrings, parseExactJson } from './go-json.ts'

/** One member of the cluster, as every member of it knows it. */
export interface Member {
  readonly id: bigint
  /** Sorted. */
  readonly peerUrls: readonly string[]
  readonly isLearner: boolean
  /** Empty until the member has started and published itself. */
  readonly name: string
  readonly clientUrls: readonly string[]
}

/** What a member publishes of itself when it starts. */
export interface MemberAttributes {
  readonly name: string
  readonly clientUrls: readonly string[]
}

/** `{"id":..,"peerURLs":[..],"isLearner":true?,"name":..?,"clientURLs":..?}`: ConfChange contexts and `/members`. */
export function memberJson(member: Member): string {
  const learner = member.isLearner ? ',"isLearner":true' : ''
  const name = member.name === '' ? '' : `,"name":${goJsonString(member.name)}`
  const client = member.clientUrls.length === 0 ? '' : `,"clientURLs":${goJsonStrings(member.clientUrls)}`
  return `{"id":${member.id},"peerURLs":${goJsonStrings(member.peerUrls)}${learner}${name}${client}}`
}

/** Value of the v2 node `/0/members/<id>/raftAttributes`. */
export function raftAttributesJson(member: Member): string {
  return `{"peerURLs":${goJsonStrings(member.peerUrls)}${member.isLearner ? ',"isLearner":true' : ''}}`
}

/** Value of the v2 node `/0/members/<id>/attributes`; empty parts are left out. */
export function attributesJson(attributes: MemberAttributes): string {
  const parts: string[] = []
  if (attributes.name !== '') parts.push(`"name":${goJsonString(attributes.name)}`)
  if (attributes.clientUrls.length > 0) parts.push(`"clientURLs":${goJsonStrings(attributes.clientUrls)}`)
  return `{${parts.join(',')}}`
}

function asObject(text: string, what: string): Record<string, unknown> {
  const value = parseExactJson(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new SyntaxError(`${what} is not a JSON object`)
  return value as Record<string, unknown>
}

function asStrings(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}

/** Reads `memberJson`'s form. @throws SyntaxError */
export function parseMember(text: string): Member {
  const fields = asObject(text, 'member')
  const id = fields['id'] ?? 0
  if (typeof id !== 'bigint' && !Number.isSafeInteger(id)) throw new SyntaxError('member without a numeric id')
  return {
    id: BigInt(id as bigint | number),
    peerUrls: asStrings(fields['peerURLs']).sort(),
    isLearner: fields['isLearner'] === true,
    name: typeof fields['name'] === 'string' ? fields['name'] : '',
    clientUrls: asStrings(fields['clientURLs']),
  }
}

/** Reads `attributesJson`'s form. @throws SyntaxError */
export function parseAttributes(text: string): MemberAttributes {
  const fields = asObject(text, 'member attributes')
  return {
    name: typeof fields['name'] === 'string' ? fields['name'] : '',
    clientUrls: asStrings(fields['clientURLs']),
  }
}

/** Reads `raftAttributesJson`'s form. @throws SyntaxError */
export function parseRaftAttributes(text: string): { peerUrls: string[]; isLearner: boolean } {
  const fields = asObject(text, 'raft attributes')
  return { peerUrls: asStrings(fields['peerURLs']).sort(), isLearner: fields['isLearner'] === true }
}

/** True when a ConfChange context asks for a promotion, which etcd marks inside the member JSON. */
export function isPromotion(contextText: string): boolean {
  return asObject(contextText, 'ConfChange context')['isPromote'] === true
}
