import type { FlagSpec } from '../cli/flags.ts'

/** Flags of every command; each may also be set by the variable `ETCDCTL_` + its name in capitals with `_`. */
export const globalFlags: readonly FlagSpec[] = [
  {
    name: 'endpoints',
    type: 'strings',
    default: '127.0.0.1:2379',
    usage: 'addresses of members, comma-separated',
  },
  { name: 'debug', type: 'bool', usage: 'log what the client does, on stderr' },
  {
    name: 'write-out',
    short: 'w',
    type: 'string',
    default: 'simple',
    usage: 'output format: simple, json, protobuf, table or fields',
  },
  { name: 'hex', type: 'bool', usage: 'show bytes as \\xNN, and the ids of member commands in JSON as hex' },
  { name: 'dial-timeout', type: 'duration', default: '2s', usage: 'limit for connecting' },
  {
    name: 'command-timeout',
    type: 'duration',
    default: '5s',
    usage: 'limit for a short command, connecting not counted',
  },
  { name: 'keepalive-time', type: 'duration', default: '2s', usage: 'time between pings of a connection' },
  { name: 'keepalive-timeout', type: 'duration', default: '6s', usage: 'limit for the answer to a ping' },
  {
    name: 'max-request-bytes',
    type: 'int',
    newer: true,
    usage: 'largest message to send in bytes; 0: 2 MiB',
  },
  {
    name: 'max-recv-bytes',
    type: 'int',
    newer: true,
    usage: 'largest message to receive in bytes; 0: the largest of gRPC',
  },
  {
    name: 'insecure-transport',
    type: 'bool',
    default: 'true',
    usage: 'no TLS where the endpoint names no scheme and no certificate is given',
  },
  { name: 'insecure-discovery', type: 'bool', default: 'true', usage: 'accept SRV records without TLS' },
  {
    name: 'insecure-skip-tls-verify',
    type: 'bool',
    usage: "do not verify the server's certificate (for tests only)",
  },
  { name: 'cert', type: 'string', usage: "file of the client's certificate" },
  { name: 'key', type: 'string', usage: "file of the client certificate's key" },
  { name: 'cacert', type: 'string', usage: 'file of the authorities that sign server certificates' },
  {
    name: 'auth-jwt-token',
    type: 'string',
    newer: true,
    usage: 'token that stands in place of a user and a password',
  },
  { name: 'user', type: 'string', usage: 'NAME[:PASSWORD] to authenticate as; asks for a missing password' },
  { name: 'password', type: 'string', usage: 'password; --user then holds the name alone' },
  {
    name: 'discovery-srv',
    short: 'd',
    type: 'string',
    usage: 'domain whose SRV records name the endpoints',
  },
  { name: 'discovery-srv-name', type: 'string', usage: 'suffix of the SRV service name' },
]
