import { ErrorCode, errorCodeName } from './frames.ts'
import { decodeGrpcMessage } from './grpc-message.ts'
import { type HeaderField, isPseudo, Kind } from './hpack/header-field.ts'
import { MetadataList } from './metadata.ts'
import { isGrpcContentType } from './request-head.ts'
import { Code, type Status } from './status.ts'

/** A header block of an answer: its beginning, its trailers, or both in one. */
export interface ResponseHead {
  /** `:status`; 0 in trailers. */
  readonly httpStatus: number
  readonly isGrpc: boolean
  readonly contentType: string
  readonly encoding: string
  /** Of `grpc-status` and its companions, where the block has them. */
  readonly status: Status | undefined
  readonly metadata: MetadataList
}

/** @returns undefined when the block violates HTTP/2 */
export function readResponseHead(
  fields: readonly HeaderField[],
  count: number,
  isTrailers: boolean,
): ResponseHead | undefined {
  let httpStatus = 0
  let contentType = ''
  let encoding = ''
  let code: number | undefined
  let message = ''
  let regular = false
  const metadata = MetadataList.ofBlock(fields, count)
  for (let i = 0; i < count; i++) {
    const { kind, value, valid } = fields[i]!
    if (!valid || (isPseudo(kind) && (regular || isTrailers))) return undefined
    regular ||= !isPseudo(kind)
    switch (kind) {
      case Kind.Status:
        if (httpStatus !== 0 || !/^[1-9]\d\d$/.test(value)) return undefined
        httpStatus = Number(value)
        break
      case Kind.Authority:
      case Kind.Method:
      case Kind.Path:
      case Kind.Scheme:
      case Kind.UnknownPseudo:
      case Kind.Connection:
      case Kind.ConnectionSpecific:
        return undefined
      case Kind.ContentType:
        contentType = value
        break
      case Kind.GrpcEncoding:
        encoding = value
        break
      case Kind.GrpcStatus:
        code = /^\d{1,10}$/.test(value) ? Number(value) : Code.Unknown
        break
      case Kind.GrpcMessage:
        message = decodeGrpcMessage(value)
        break
      default:
    }
  }
  if (!isTrailers && httpStatus === 0) return undefined
  const details = metadata.getBinary('grpc-status-details-bin')
  const status =
    code === undefined ? undefined : { code, message, ...(details === undefined ? {} : { details }) }
  return { httpStatus, isGrpc: isGrpcContentType(contentType), contentType, encoding, status, metadata }
}

const httpCodes: Readonly<Record<number, number>> = {
  400: Code.Internal,
  401: Code.Unauthenticated,
  403: Code.PermissionDenied,
  404: Code.Unimplemented,
  429: Code.Unavailable,
  502: Code.Unavailable,
  503: Code.Unavailable,
  504: Code.Unavailable,
}

/** The status of an answer that is not gRPC's, in grpc-go's words. */
export function foreignStatus(head: ResponseHead): Status {
  const parts: string[] = []
  if (head.httpStatus !== 200)
    parts.push(`unexpected HTTP status code received from server: ${head.httpStatus}`)
  if (!head.isGrpc)
    parts.push(
      head.contentType === ''
        ? 'malformed header: missing HTTP content-type'
        : `transport: received unexpected content-type ${JSON.stringify(head.contentType)}`,
    )
  return { code: httpCodes[head.httpStatus] ?? Code.Unknown, message: parts.join('; ') }
}

const resetCodes: Readonly<Record<number, number>> = {
  [ErrorCode.FlowControlError]: Code.ResourceExhausted,
  [ErrorCode.RefusedStream]: Code.Unavailable,
  [ErrorCode.Cancel]: Code.Cancelled,
  [ErrorCode.EnhanceYourCalm]: Code.ResourceExhausted,
  [ErrorCode.InadequateSecurity]: Code.PermissionDenied,
}

/** The status of a stream that was reset. */
export function resetStatus(errorCode: number): Status {
  return {
    code: resetCodes[errorCode] ?? Code.Internal,
    message: `stream terminated by RST_STREAM with error code: ${errorCodeName(errorCode)}`,
  }
}
