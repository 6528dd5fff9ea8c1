package load

import "github.com/lsst-ts/csu/compiler/internal/model"

// Request returns the upgrade of the type that is asked for: in the site's
// upgrade.cue, or in another file if one is given. Its error is a [*Problems]
// with all that is wrong with it.
func Request(root string, site *model.Site, typ, file string) (*model.Request, error) {
	return newProject(root, nil).request(site, typ, file)
}
