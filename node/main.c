#include "cli/cli.h"
#include "ident/suite.h"

int main(int argc, char **argv)
{
    suite_init();
    return cli_main(argc, argv);
}
