import { ApiError, type Codec, DecodeError } from '@etcd-ts/api'
import { Code, type Method, type Status, type UnaryCall } from '@etcd-ts/grpc'

/** The status that a client sees for `error`; what has no row in the error table is Unknown, as in etcd. */
export function statusOf(error: unknown): Status {
  if (error instanceof ApiError) return { code: error.code, message: error.message }
  if (error instanceof DecodeError) {
    return { code: Code.Internal, message: `grpc: error unmarshalling request: ${error.message}` }
  }
  return { code: Code.Unknown, message: error instanceof Error ? error.message : String(error) }
}

/** A unary method whose thrown errors become its status. */
export function unary(handle: (call: UnaryCall, request: Uint8Array) => void): Method {
  return {
    kind: 'unary',
    handle(call, request) {
      try {
        handle(call, request)
      } catch (error) {
        call.fail(statusOf(error))
      }
    },
  }
}

/** A unary method that is called rarely: decoded request in, response message out, errors as thrown. */
export function unaryAsync<Request, RequestInit, Response, ResponseInit>(
  method: {
    readonly path: string
    readonly request: Codec<Request, RequestInit>
    readonly response: Codec<Response, ResponseInit>
  },
  handle: (request: Request, call: UnaryCall) => Promise<ResponseInit> | ResponseInit,
): [path: string, method: Method] {
  const run = async (call: UnaryCall, request: Request): Promise<void> => {
    try {
      call.respond(method.response.encode(await handle(request, call)))
    } catch (error) {
      call.fail(statusOf(error))
    }
  }
  return [method.path, unary((call, bytes) => void run(call, method.request.decode(Uint8Array.from(bytes))))]
}
