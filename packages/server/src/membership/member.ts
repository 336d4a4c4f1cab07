import { JsonNumber, type JsonValue, formatJson, parseJson } from '@etcd-ts/api'

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
  const name = member.name === '' ? '' : `,"name":${formatJson(member.name)}`
  const client = member.clientUrls.length === 0 ? '' : `,"clientURLs":${formatJson(member.clientUrls)}`
  return `{"id":${member.id},"peerURLs":${formatJson(member.peerUrls)}${learner}${name}${client}}`
}

/** Value of the v2 node `/0/members/<id>/raftAttributes`. */
export function raftAttributesJson(member: Member): string {
  return `{"peerURLs":${formatJson(member.peerUrls)}${member.isLearner ? ',"isLearner":true' : ''}}`
}

/** Value of the v2 node `/0/members/<id>/attributes`; empty parts are left out. */
export function attributesJson(attributes: MemberAttributes): string {
  const parts: string[] = []
  if (attributes.name !== '') parts.push(`"name":${formatJson(attributes.name)}`)
  if (attributes.clientUrls.length > 0) parts.push(`"clientURLs":${formatJson(attributes.clientUrls)}`)
  return `{${parts.join(',')}}`
}

type Fields = Readonly<Record<string, JsonValue | undefined>>

/** @throws JsonError */
function fieldsOf(text: string): Fields {
  const value = parseJson(text)
  return typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof JsonNumber)
    ? (value as Fields)
    : {}
}

function asStrings(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : []
}

function asString(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

/** Reads `memberJson`'s form. @throws JsonError, or Error when there is no id */
export function parseMember(text: string): Member {
  const fields = fieldsOf(text)
  const { id } = fields
  if (!(id instanceof JsonNumber) || !/^\d+$/.test(id.text)) throw new Error(`member without an id: ${text}`)
  return {
    id: BigInt(id.text),
    peerUrls: asStrings(fields['peerURLs']).sort(),
    isLearner: fields['isLearner'] === true,
    name: asString(fields['name']),
    clientUrls: asStrings(fields['clientURLs']),
  }
}

/** Reads `attributesJson`'s form. @throws JsonError */
export function parseAttributes(text: string): MemberAttributes {
  const fields = fieldsOf(text)
  return { name: asString(fields['name']), clientUrls: asStrings(fields['clientURLs']) }
}

/** Reads `raftAttributesJson`'s form. @throws JsonError */
export function parseRaftAttributes(text: string): { peerUrls: string[]; isLearner: boolean } {
  const fields = fieldsOf(text)
  return { peerUrls: asStrings(fields['peerURLs']).sort(), isLearner: fields['isLearner'] === true }
}

/** True when a ConfChange context asks for a promotion, which etcd marks inside the member JSON. @throws JsonError */
export function isPromotion(contextText: string): boolean {
  return fieldsOf(contextText)['isPromote'] === true
}
