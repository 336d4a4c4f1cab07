import { InternalRaftRequest, Request } from './generated/etcdserverpb.ts'
import { DecodeError } from './wire.ts'

/** What a normal log entry asks for: a v3 request, or one of the v2 API in either of its two wrappings. */
export type Proposal =
  | { readonly kind: 'v3'; readonly request: InternalRaftRequest }
  | { readonly kind: 'v2'; readonly request: Request }

/**
 * Decodes the data of a normal log entry that is not empty.
 *
 * Nothing marks which of two types it is. The v3 type is tried first: field 2 of a v2 request holds an
 * ASCII method (PUT, POST, DELETE, QGET, SYNC), whose bytes are no message, so reading one as a v3 request
 * always fails. That rests on a decoder which refuses groups and wrong wire types of known fields.
 *
 * @throws DecodeError when it is neither
 */
export function decodeProposal(data: Uint8Array): Proposal {
  let request: InternalRaftRequest
  try {
    request = InternalRaftRequest.decode(data)
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return { kind: 'v2', request: Request.decode(data) }
  }
  return request.v2 === undefined ? { kind: 'v3', request } : { kind: 'v2', request: request.v2 }
}
