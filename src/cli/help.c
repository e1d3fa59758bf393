/* cli/help.c: the tables of commands as help, man page and completion. */
#include "cli/commands.h"
#include "cli/term.h"

#include <string.h>

enum { LINE = 96 };

/* Fills lines of `text` between margins; empty lines separate paragraphs. */
static void print_filled(const char *text, int indent, int column)
{
    for (bool first = true; *text; first = false) {
        size_t word = strcspn(text, " \n");
        if (!first && column + 1 + (int)word > LINE)
            printf("\n%*s", column = indent, "");
        else if (!first && column > indent)
            putchar(' '), column++;
        fwrite(text, 1, word, stdout);
        column += (int)word;
        text += word;
        if (*text == '\n') printf("\n%*s", column = indent, "");
        if (*text) text++;
    }
    putchar('\n');
}

static void print_options(const cli_option *options)
{
    for (const cli_option *o = options; o && o->name; o++) {
        char name[80];
        const char letter[5] = {'-', o->letter, ',', ' ', 0};
        snprintf(name, sizeof name, "  %s--%s%s%s", o->letter ? letter : "    ", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        printf("%-28s", name);
        if (strlen(name) > 27) printf("\n%28s", "");
        print_filled(o->doc, 28, 28);
    }
}

int cli_help_command(const cli_command *command)
{
    char line[256];
    cli_usage_line(line, command);
    printf("%s%s%s\n\n%s\n", cli_bold(stdout), line, cli_plain(stdout), command->summary);
    if (command->doc[0]) {
        putchar('\n');
        print_filled(command->doc, 0, 0);
    }
    printf("\nOptions:\n");
    print_options(command->options);
    print_options(cli_common_options);
    return cli_flush();
}

int cli_help_overview(const char *group)
{
    if (!group)
        printf("Whist %s: partners train one model together; the data stay where they are.\n\n", whist_version());
    printf("Usage: whist COMMAND [options]; `whist COMMAND --help` explains one.\n\n");
    size_t len = group ? strlen(group) : 0;
    for (const cli_command *const *table = cli_tables; *table; table++)
        for (const cli_command *c = *table; c->name; c++)
            if (!group || (strncmp(c->name, group, len) == 0 && c->name[len] == ' '))
                printf("  %-20s %s\n", c->name, c->summary);
    if (!group)
        printf("\nExit codes: 0 done; 1 failed; 2 wrong command line; 3 refused (policy, certificate, permission);\n"
               "4 stopped, the same command goes on; 5 not in time.\n");
    return cli_flush();
}

/* ---- Man page ---- */

/* roff: a backslash and a dot or quote at the beginning of a line mean something. */
static void man_text(const char *text)
{
    bool start = true;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\'')) fputs("\\&", stdout);
        if (*text == '\n') fputs("\n.PP", stdout);
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
        start = *text == '\n';
    }
    putchar('\n');
}

static void man_options(const cli_option *options)
{
    for (const cli_option *o = options; o && o->name; o++) {
        printf(".TP\n");
        if (o->letter) printf("\\fB\\-%c\\fR, ", o->letter);
        printf("\\fB\\-\\-%s\\fR%s%s\n", o->name, o->value ? " " : "", o->value ? o->value : "");
        man_text(o->doc);
    }
}

static void man_command(const cli_command *c)
{
    char line[256];
    cli_usage_line(line, c);
    printf(".SS ");
    man_text(line);
    man_text(c->summary);
    if (c->doc[0]) {
        printf(".PP\n");
        man_text(c->doc);
    }
    man_options(c->options);
}

int cli_help_man(void)
{
    printf(
        ".TH WHIST 1 \"\" \"Whist %s\" \"User Commands\"\n.SH NAME\nwhist \\- federated learning that keeps the data "
        "where it is\n.SH SYNOPSIS\n.B whist\n.I COMMAND\n[options]\n.SH COMMANDS\n",
        whist_version());
    for (const cli_command *const *table = cli_tables; *table; table++)
        for (const cli_command *c = *table; c->name; c++) man_command(c);
    printf(".SH OPTIONS OF EVERY COMMAND\n");
    man_options(cli_common_options);
    printf(".SH EXIT STATUS\n0 done; 1 failed; 2 wrong command line; 3 refused by policy, certificate or permission;\n"
           "4 stopped, the same command goes on; 5 not in time.\n"
           ".SH ENVIRONMENT\n.TP\n.B WHIST_DATA\nfolder of data sets, each in a folder of its name, for commands "
           "without --data\n"
           ".TP\n.B WHIST_CPU\nlowers the instruction set: generic, avx2, avx512\n"
           ".TP\n.B WHIST_CONV\nwho computes convolutions: own (the default), onednn, auto\n"
           ".TP\n.B NO_COLOR\nno colours\n");
    return cli_flush();
}

/* ---- Completion ---- */

static void completion_words(const cli_command *c)
{
    for (const cli_option *o = c->options; o && o->name; o++) printf("--%s ", o->name);
    for (const cli_option *o = cli_common_options; o->name; o++) printf("--%s ", o->name);
    const char *word;
    for (size_t k = 0; c->word && (word = c->word(k)) != NULL; k++) printf("%s ", word);
}

static void completion_group(const char *name)
{
    size_t len = strcspn(name, " ");
    for (const cli_command *const *table = cli_tables; *table; table++)
        for (const cli_command *c = *table; c->name; c++)
            if (strncmp(c->name, name, len) == 0 && c->name[len] == ' ') printf("%s ", c->name + len + 1);
}

/* First words, each once. */
static void completion_first(void)
{
    char group[64] = "";
    for (const cli_command *const *table = cli_tables; *table; table++)
        for (const cli_command *c = *table; c->name; c++) {
            int len = (int)strcspn(c->name, " ");
            if (strncmp(group, c->name, (size_t)len) != 0 || group[len]) printf("%.*s ", len, c->name);
            snprintf(group, sizeof group, "%.*s", len, c->name);
        }
}

/* Case branches: "data get" gives its options, "data" its commands, "" all first words. */
int cli_help_completion(void)
{
    char group[64] = "";
    printf("# bash completion of whist: source <(whist completion bash)\n_whist() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} first=${COMP_WORDS[1]} second=${COMP_WORDS[2]} list=\n"
           "    if [ \"$COMP_CWORD\" -le 1 ]; then list='");
    completion_first();
    printf("'\n    elif [ \"$first\" = help ]; then\n"
           "        if [ \"$COMP_CWORD\" -eq 2 ]; then first=commands; else first=$second; second=; fi\n"
           "    fi\n    [ -n \"$list\" ] || case \"$first $second\" in\n    'commands '*) list='");
    completion_first();
    printf("--man --json' ;;\n");
    for (const cli_command *const *table = cli_tables; *table; table++)
        for (const cli_command *c = *table; c->name; c++) {
            printf("    '%s'%s) list='", c->name, strchr(c->name, ' ') ? "" : "' '*");
            completion_words(c);
            printf("' ;;\n");
        }
    group[0] = 0;
    for (const cli_command *const *table = cli_tables; *table; table++)
        for (const cli_command *c = *table; c->name; c++) {
            int len = (int)strcspn(c->name, " ");
            if (!c->name[len] || (strncmp(group, c->name, (size_t)len) == 0 && !group[len])) continue;
            snprintf(group, sizeof group, "%.*s", len, c->name);
            printf("    %s' '*) list='", group);
            completion_group(c->name);
            printf("' ;;\n");
        }
    printf("    esac\n"
           "    case $word in\n"
           "    -*) COMPREPLY=($(compgen -W \"$list\" -- \"$word\")) ;;\n"
           "    *) COMPREPLY=($(compgen -W \"$(printf '%%s\\n' $list | grep -v '^-')\" -- \"$word\") "
           "$(compgen -f -- \"$word\")) ;;\n"
           "    esac\n}\ncomplete -o filenames -F _whist whist\n");
    return cli_flush();
}
