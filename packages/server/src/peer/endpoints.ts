import type { IncomingMessage, ServerResponse } from 'node:http'
import { ApiError, JsonNumber, parseJson } from '@etcd-ts/api'
import type { MvccStore } from '@etcd-ts/mvcc'
import { HASH_KV_PATH } from '../corruption/peer-hashes.ts'
import { answer, answerError, refusesMethod, targetOf } from '../http/answer.ts'
import { type VersionSource, handleVersion } from '../http/client-http.ts'
import type { Logger } from '../log/index.ts'
import type { Cluster } from '../membership/cluster.ts'
import { hexId } from '../membership/ids.ts'
import { jsonFields } from '../membership/json-fields.ts'
import { membersJson } from '../membership/member.ts'
import type { Reconfiguration } from '../membership/reconfiguration.ts'
import { internalText } from '../membership/refusals.ts'

/** What other members ask over HTTP, beside raft's messages. */
export interface PeerEndpointsPorts {
  readonly cluster: Cluster
  readonly store: Pick<MvccStore, 'revision' | 'hashKv'>
  readonly reconfiguration: Reconfiguration
  readonly version: VersionSource
  readonly logger: Logger
  /** Resolves once this member's state covers everything committed by now. */
  catchUp(): Promise<void>
}

const PROMOTE_PREFIX = '/members/promote/'
const BODY_BYTES_MAX = 64 * 1024
const UINT64_MAX = 2n ** 64n - 1n

/** A handler of the peer listener's requests; it returns false when the path is another one. */
export function peerEndpoints(
  ports: PeerEndpointsPorts,
): (request: IncomingMessage, response: ServerResponse) => boolean {
  const { logger } = ports
  const run = (answering: Promise<void>, response: ServerResponse): boolean => {
    answering.catch((error: unknown) => {
      logger.warn('failed to answer a peer request', { error: internalText(error) })
      response.destroy()
    })
    return true
  }
  return (request, response) => {
    const { pathname } = targetOf(request)
    if (pathname === '/members') return answerMembers(ports, request, response)
    if (pathname === HASH_KV_PATH) return run(answerHash(ports, request, response), response)
    if (pathname === '/downgrade/enabled') return run(answerDowngrade(ports, request, response), response)
    if (pathname.startsWith(PROMOTE_PREFIX)) {
      const id = pathname.slice(PROMOTE_PREFIX.length)
      return run(answerPromotion(ports, id, request, response), response)
    }
    return handleVersion(ports.version, request, response)
  }
}

function setClusterId({ cluster }: PeerEndpointsPorts, response: ServerResponse): void {
  response.setHeader('X-Etcd-Cluster-Id', hexId(cluster.id))
}

function answerMembers(ports: PeerEndpointsPorts, request: IncomingMessage, response: ServerResponse): true {
  if (refusesMethod(request, response, ['GET'])) return true
  setClusterId(ports, response)
  answer(response, 'application/json', `${membersJson(ports.cluster.members())}\n`)
  return true
}

async function answerDowngrade(
  ports: PeerEndpointsPorts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (refusesMethod(request, response, ['GET'])) return
  setClusterId(ports, response)
  try {
    await ports.catchUp()
  } catch (error) {
    answerError(response, 500, `failed linearized read: ${internalText(error)}`)
    return
  }
  answer(response, 'text/plain', String(ports.cluster.downgrade.enabled))
}

async function answerPromotion(
  ports: PeerEndpointsPorts,
  id: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (refusesMethod(request, response, ['POST'])) return
  setClusterId(ports, response)
  if (!/^\d+$/.test(id) || BigInt(id) > UINT64_MAX) {
    answerError(response, 404, `member ${id} not found in cluster`)
    return
  }
  try {
    const members = await ports.reconfiguration.promote(BigInt(id))
    answer(response, 'application/json', `${membersJson(members)}\n`)
  } catch (error) {
    ports.logger.warn('failed to promote a member', {
      'member-id': hexId(BigInt(id)),
      error: internalText(error),
    })
    answerRefusal(response, error)
  }
}

function answerRefusal(response: ServerResponse, error: unknown): void {
  const reason = error instanceof ApiError ? error.reason : undefined
  if (reason === 'memberNotFound') answerError(response, 404, internalText(error))
  else if (reason === 'memberNotLearner' || reason === 'learnerNotReady')
    answerError(response, 412, internalText(error))
  else {
    response.writeHead(500, { 'Content-Type': 'application/json' })
    response.end('{"message":"Internal Server Error"}')
  }
}

async function answerHash(
  ports: PeerEndpointsPorts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (refusesMethod(request, response, ['GET'])) return
  const { cluster, store, logger } = ports
  const asked = request.headers['x-etcd-cluster-id']
  if (typeof asked === 'string' && asked !== '' && asked !== hexId(cluster.id)) {
    answerError(response, 412, 'cluster ID mismatch')
    return
  }
  const body = await readBody(request)
  if (body === undefined) {
    answerError(response, 400, 'error reading body')
    return
  }
  const revision = revisionOf(body)
  if (revision === undefined) {
    answerError(response, 400, 'error unmarshalling request')
    return
  }
  try {
    const { hash, compactRevision } = await store.hashKv(revision)
    setClusterId(ports, response)
    answer(response, 'application/json', hashJson(store.revision, hash, compactRevision))
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    const text = error.message.replace(/^etcdserver: /, '')
    logger.warn('failed to get hashKV', { 'requested-revision': String(revision), error: text })
    answerError(response, 400, text)
  }
}

/** Go's form of the answer: what is zero is left out. */
function hashJson(revision: number, hash: number, compactRevision: number): string {
  const parts = [`"header":{"revision":${revision}}`]
  if (hash !== 0) parts.push(`"hash":${hash}`)
  if (compactRevision !== 0) parts.push(`"compact_revision":${compactRevision}`)
  return `{${parts.join(',')}}`
}

/** Undefined when the caller goes away, or sends too much. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > BODY_BYTES_MAX) return undefined
      chunks.push(chunk)
    }
  } catch {
    return undefined // the connection broke off
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Undefined when the body is not a request. */
function revisionOf(body: string): bigint | undefined {
  try {
    const { revision } = jsonFields(parseJson(body))
    if (revision === undefined || revision === null) return 0n
    if (!(revision instanceof JsonNumber)) return undefined
    const number = BigInt(revision.text)
    return BigInt.asIntN(64, number) === number ? number : undefined
  } catch {
    return undefined // not JSON, or a number with a fraction
  }
}
