import type { Argument, Command, Option } from 'commander'
import { CliError, EXIT, print } from './exit.ts'
import { didYouMean } from '../lib/suggest.ts'

// The script of a shell only asks the command itself, so what it offers is what this version takes, and names of agents
// and ids of approvals can come from the gate that runs.

const ASK = 'portcullis __complete --'

const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# portcullis: completion for bash. Add to ~/.bashrc:
#   eval "$(portcullis completion bash)"
_portcullis() {
  local IFS=$'\\n'
  local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=($(${ASK} "\${words[@]}" 2>/dev/null | cut -f1))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _portcullis portcullis`,
  zsh: `#compdef portcullis
# portcullis: completion for zsh. Add to ~/.zshrc, below compinit:
#   eval "$(portcullis completion zsh)"
_portcullis() {
  local -a found
  local line
  for line in "\${(@f)$(${ASK} "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( \${#found} )); then _describe portcullis found; else _files; fi
}
compdef _portcullis portcullis`,
  fish: `# portcullis: completion for fish. Write to ~/.config/fish/completions/portcullis.fish:
#   portcullis completion fish > ~/.config/fish/completions/portcullis.fish
function __portcullis_complete
    set -l words (commandline -opc) (commandline -ct)
    ${ASK} $words[2..-1] 2>/dev/null
end
complete -c portcullis -f -n '__portcullis_complete | string length -q' -a '(__portcullis_complete)'`,
}

/** `portcullis completion <shell>`: the script to install. */
export function printCompletion(shell: string): void {
  const script = SCRIPTS[shell]
  if (script !== undefined) return print(script)
  const shells = Object.keys(SCRIPTS)
  const way = didYouMean(shell, shells) ?? `there is ${shells.join(', ')}`
  throw new CliError(EXIT.usage, `no completion for \`${shell}\`; ${way}`)
}

interface Candidate {
  readonly word: string
  readonly about: string
}

/** What may stand where the last of the words is being written, with what it is: `word<tab>about`. */
export async function printCandidates(program: Command, words: readonly string[]): Promise<void> {
  const current = words.at(-1) ?? ''
  const found = (await candidates(program, words.slice(0, -1))).filter(
    ({ word }) => word.startsWith(current) && (current !== '' || !word.startsWith('-')),
  )
  for (const { word, about } of found) print(`${word}\t${about}`)
}

async function candidates(
  program: Command,
  before: readonly string[],
): Promise<readonly Candidate[]> {
  const { command, rest } = reached(program, before)
  const last = rest.at(-1)
  const option = command.options.find((one) => isIt(one, last))
  if (option && takesValue(option)) return valuesOf(option.attributeName(), option.argChoices)
  const options = command
    .createHelp()
    .visibleOptions(command)
    .map((one) => ({ word: one.long ?? one.short ?? '', about: one.description }))
  const subcommands = command
    .createHelp()
    .visibleCommands(command)
    .map((one) => ({ word: one.name(), about: one.description() }))
  const argument = command.registeredArguments[given(command, rest)]
  const values = argument ? await valuesOf(nameOf(argument, command), argument.argChoices) : []
  return [...subcommands, ...values, ...options]
}

/** The subcommand that the words lead to, and the words after its name. */
function reached(program: Command, words: readonly string[]) {
  let command = program
  let at = 0
  for (; at < words.length; at++) {
    const next = command.commands.find((one) => one.name() === words[at])
    if (!next) break
    command = next
  }
  return { command, rest: words.slice(at) }
}

const isIt = ({ long, short }: Option, word: string | undefined): boolean =>
  word !== undefined && (word === long || word === short)

const takesValue = (option: Option): boolean => option.required || option.optional

/** How many arguments are already there. */
function given(command: Command, words: readonly string[]): number {
  let count = 0
  for (let at = 0; at < words.length; at++) {
    const option = command.options.find((one) => isIt(one, words[at]))
    if (option && takesValue(option)) at++
    else if (!option) count++
  }
  return count
}

const nameOf = (argument: Argument, command: Command): string =>
  argument.name() === 'id' ? `${command.parent?.name()} ${command.name()}` : argument.name()

async function valuesOf(
  name: string,
  choices: readonly string[] | undefined,
): Promise<readonly Candidate[]> {
  if (choices) return choices.map((word) => ({ word, about: '' }))
  if (name === 'shell') return Object.keys(SCRIPTS).map((word) => ({ word, about: '' }))
  const ask = (await import('./known-names.ts')).KNOWN[name]
  // No gate, or one that refuses: then there is nothing to offer.
  return ask === undefined ? [] : ask().catch(() => [])
}
