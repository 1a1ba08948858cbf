/* catalogue_directives.h - the items of catalogue.h that authorities decide
 * (private to credit). */
#ifndef CREDIT_CATALOGUE_DIRECTIVES_H
#define CREDIT_CATALOGUE_DIRECTIVES_H

#include "credit/catalogue.h"

extern const struct catalogue_item catalogue_listing;
extern const struct catalogue_item catalogue_removal;
extern const struct catalogue_item catalogue_execution;

#endif
