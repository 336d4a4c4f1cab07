import { STATUS_CODES } from 'node:http'
import { formatJson } from '@etcd-ts/api'
import { Code, type Status } from '@etcd-ts/grpc'

/** HTTP status by gRPC code; every other code is 500. */
const httpStatusByCode: Readonly<Record<number, number>> = {
  [Code.Ok]: 200,
  [Code.Cancelled]: 408,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 400,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Unavailable]: 503,
  [Code.Unauthenticated]: 401,
}

export function httpStatusOf(code: number): number {
  return httpStatusByCode[code] ?? 500
}

/** The body of a call that failed; what is zero or empty is left out, as in every message. */
export function errorBody({ code, message }: Status): string {
  return formatJson({
    ...(message !== '' && { error: message }),
    ...(code !== 0 && { code }),
    ...(message !== '' && { message }),
  })
}

/** The last piece of a stream that failed. */
export function streamErrorBody({ code, message }: Status): string {
  const httpCode = httpStatusOf(code)
  return formatJson({
    error: {
      ...(code !== 0 && { grpc_code: code }),
      http_code: httpCode,
      ...(message !== '' && { message }),
      http_status: STATUS_CODES[httpCode] ?? '',
    },
  })
}
