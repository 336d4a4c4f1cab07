import { JsonNumber, type JsonValue, formatJson, parseJson } from '@etcd-ts/api'
import { jsonFields } from './json-fields.ts'

/** One member of the cluster, as every member of it knows it. */
export interface Member {
  readonly id: bigint
  /** In the order in which they were given, which is sorted unless it comes from an update. */
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

/** Go's form of a list that may be empty. */
function urlsJson(urls: readonly string[]): string {
  return urls.length === 0 ? 'null' : formatJson(urls)
}

/** `{"id":..,"peerURLs":[..],"isLearner":true?,"name":..?,"clientURLs":..?}`: ConfChange contexts and `/members`. */
export function memberJson(member: Member): string {
  const learner = member.isLearner ? ',"isLearner":true' : ''
  const name = member.name === '' ? '' : `,"name":${formatJson(member.name)}`
  const client = member.clientUrls.length === 0 ? '' : `,"clientURLs":${formatJson(member.clientUrls)}`
  return `{"id":${member.id},"peerURLs":${urlsJson(member.peerUrls)}${learner}${name}${client}}`
}

/** `memberJson` of a list, as `/members` answers it. */
export function membersJson(members: readonly Member[]): string {
  return `[${members.map(memberJson).join(',')}]`
}

/** The ConfChange context that asks for the promotion of a learner. */
export function promotionJson(id: bigint): string {
  return `{"id":${id},"peerURLs":null,"isPromote":true}`
}

/** Value of the v2 node `/0/members/<id>/raftAttributes`. */
export function raftAttributesJson(member: Member): string {
  return `{"peerURLs":${urlsJson(member.peerUrls)}${member.isLearner ? ',"isLearner":true' : ''}}`
}

/** Value of the v2 node `/0/members/<id>/attributes`; empty parts are left out. */
export function attributesJson(attributes: MemberAttributes): string {
  const parts: string[] = []
  if (attributes.name !== '') parts.push(`"name":${formatJson(attributes.name)}`)
  if (attributes.clientUrls.length > 0) parts.push(`"clientURLs":${formatJson(attributes.clientUrls)}`)
  return `{${parts.join(',')}}`
}

function asStrings(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : []
}

function asString(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

/** Reads `memberJson`'s form. @throws JsonError, or Error when there is no id */
export function parseMember(text: string): Member {
  return memberOf(parseJson(text))
}

/** Reads `membersJson`'s form. @throws JsonError, or Error when it is not a list of members */
export function parseMembers(text: string): Member[] {
  const list = parseJson(text)
  if (!Array.isArray(list)) throw new Error(`not a list of members: ${text}`)
  return list.map(memberOf)
}

function memberOf(value: JsonValue): Member {
  const fields = jsonFields(value)
  const { id } = fields
  if (!(id instanceof JsonNumber) || !/^\d+$/.test(id.text))
    throw new Error(`member without an id: ${formatJson(value)}`)
  return {
    id: BigInt(id.text),
    peerUrls: asStrings(fields['peerURLs']),
    isLearner: fields['isLearner'] === true,
    name: asString(fields['name']),
    clientUrls: asStrings(fields['clientURLs']),
  }
}

/** Reads `attributesJson`'s form. @throws JsonError */
export function parseAttributes(text: string): MemberAttributes {
  const fields = jsonFields(parseJson(text))
  return { name: asString(fields['name']), clientUrls: asStrings(fields['clientURLs']) }
}

/** Reads `raftAttributesJson`'s form. @throws JsonError */
export function parseRaftAttributes(text: string): { peerUrls: string[]; isLearner: boolean } {
  const fields = jsonFields(parseJson(text))
  return { peerUrls: asStrings(fields['peerURLs']), isLearner: fields['isLearner'] === true }
}

/** True when a ConfChange context asks for a promotion, which etcd marks inside the member JSON. @throws JsonError */
export function isPromotion(contextText: string): boolean {
  return jsonFields(parseJson(contextText))['isPromote'] === true
}
