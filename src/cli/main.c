/* cli/main.c: the program `whist`. */
#include <whist/base.h>

#include <stdio.h>

int main(void)
{
    printf("whist %s\n", whist_version());
    return 0;
}
