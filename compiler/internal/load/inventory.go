package load

import (
	"fmt"
	"path/filepath"
	"slices"

	"cuelang.org/go/cue"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// InventoryFile is the file of a site that has its inventory and nothing else, so
// that it can be rewritten as a whole.
const InventoryFile = "cscs.cue"

// WithInventory is [Site] with another text in the place of the site's inventory.
func WithInventory(root, name, text string) (*model.Site, error) {
	return newProject(root, map[string]string{"sites/" + name + "/" + InventoryFile: text}).site(name)
}

// Without loads what a site is apart from its inventory, which need not be there yet:
// its fields that are right, and nothing of its CSCs.
func Without(root, name string) (*model.Site, error) {
	p := newProject(root, nil)
	sites, err := Sites(p.root)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(sites, name) {
		return nil, &NoSiteError{Name: name, Sites: sites}
	}
	files, err := p.siteFiles(name)
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f string) bool { return filepath.Base(f) == InventoryFile })
	src := p.read("site "+name, aSite, files)
	var site *model.Site
	if src.usable {
		src.guard(func() { site = decodeSite(src) })
	}
	if !src.usable {
		return nil, src.problems()
	}
	if at := (path{"site", "environment"}); site.Environment == "" {
		src.report(at, "environment", "is missing or wrong", "name the site's environment in Phalanx")
		return nil, &Problems{Input: src.input, All: src.fromGo}
	}
	return site, nil
}

// Names loads the names that CSCs can have from the schema.
func Names(root string) (*model.Names, error) {
	p := newProject(root, nil)
	inst := p.load([]string{"./" + schemaPackage}, true)
	if inst.Err != nil {
		return nil, &Problems{Input: "schema", All: []Problem{{Text: inst.Err.Error(), Remedy: "correct the schema"}}}
	}
	v := p.context.BuildInstance(inst)
	out := &model.Names{}
	for at, into := range map[string]any{"#Components": &out.Components, "#Instances": &out.Instances, "#Quiet": &out.Quiet} {
		if err := v.LookupPath(cue.ParsePath(at)).Decode(into); err != nil {
			return nil, &Problems{Input: "schema", All: []Problem{{
				Pos: model.Pos{File: "schema/components.cue", Line: 1, Column: 1}, Subject: at,
				Text: fmt.Sprintf("cannot read it: %v", err), Remedy: "correct it",
			}}}
		}
	}
	return out, nil
}
