import { healthpb } from '@etcd-ts/api'
import { Code, type Method } from '@etcd-ts/grpc'
import { statusOf, unary } from './respond.ts'

const { HealthCheckRequest, HealthCheckResponse, HealthService, ServingStatus } = healthpb

/** The standard gRPC health service: the whole server (service "") serves, other names are unknown. */
export function healthService(): [path: string, method: Method][] {
  const check = unary((call, bytes) => {
    if (HealthCheckRequest.decode(bytes).service === '') {
      call.respond(HealthCheckResponse.encode({ status: ServingStatus.SERVING }))
    } else {
      call.fail({ code: Code.NotFound, message: 'unknown service' })
    }
  })
  const watch: Method = {
    kind: 'stream',
    handle(call) {
      call.onMessage = (bytes) => {
        try {
          const isWhole = HealthCheckRequest.decode(bytes).service === ''
          const status = isWhole ? ServingStatus.SERVING : ServingStatus.SERVICE_UNKNOWN
          call.write(HealthCheckResponse.encode({ status }))
        } catch (error) {
          call.end(statusOf(error))
        }
      }
    },
  }
  return [
    [HealthService.Check.path, check],
    [HealthService.Watch.path, watch],
  ]
}
