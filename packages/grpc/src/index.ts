export { Code, type Status } from './status.ts'
export type {
  CallContext,
  CancelReason,
  Metadata,
  Method,
  ServiceTable,
  StreamCall,
  UnaryCall,
} from './service.ts'
