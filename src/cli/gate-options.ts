import type { Command } from 'commander'

/** Gives a subcommand the options that say which gate it asks, and as whom. */
export const withClient = (command: Command): Command =>
  command
    .option('--url <url>', 'the gate; default: PORTCULLIS_URL, else HOST and PORT')
    .option('--key <key>', 'API key; default: $PORTCULLIS_KEY, then the admin key in DATA_DIR')
