import type { Command } from '../../cli/command.ts'
import { bashScript } from './bash.ts'
import { fishScript } from './fish.ts'
import { powershellScript } from './powershell.ts'
import { choicesOf, type Choices } from './places.ts'
import { zshScript } from './zsh.ts'

export interface ScriptOptions {
  /** Say what each command and flag does. */
  readonly descriptions: boolean
}

type Script = (choices: Choices, options: ScriptOptions) => string

const scripts: readonly (readonly [name: string, script: Script, use: string])[] = [
  ['bash', bashScript, 'source <(etcdctl completion bash)'],
  ['zsh', zshScript, 'source <(etcdctl completion zsh)'],
  ['fish', fishScript, 'etcdctl completion fish | source'],
  ['powershell', powershellScript, 'etcdctl completion powershell | Out-String | Invoke-Expression'],
]

export const completion: Command = {
  name: 'completion',
  use: 'completion',
  short: 'Prints a script that completes commands and flags in a shell',
  commands: scripts.map(([name, script, use]) => ({
    name,
    load: () => Promise.resolve(commandOf(name, script, use)),
  })),
}

function commandOf(name: string, script: Script, use: string): Command {
  return {
    name,
    use: name,
    short: `Prints the completion script for ${name}`,
    long: `To use it in the shell that is running:\n\n\t${use}`,
    flags: [{ name: 'no-descriptions', type: 'bool', usage: 'only names, without what they are for' }],
    noArguments: true,
    async run({ root, flags, io }) {
      io.out(script(await choicesOf(root), { descriptions: !flags.bool('no-descriptions') }))
    },
  }
}
