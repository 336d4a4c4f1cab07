import { find, type Command } from '../cli/command.ts'
import { usageOf } from '../cli/help.ts'

export const help: Command = {
  name: 'help',
  use: 'help [command]',
  short: 'Shows help about a command',
  async run({ args, root, io }) {
    const found = await find(root, args).catch(() => undefined)
    if (!found) io.err(`Unknown help topic [${args.map((arg) => `\`${arg}\``).join(' ')}]\n`)
    io.out(await usageOf(found?.path ?? [root], { newer: true }))
  },
}
