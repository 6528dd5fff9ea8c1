package main

import (
	"strings"

	"github.com/lsst-ts/csu/compiler"
)

// siteNames returns the names of the project's sites, for the help text and for
// completion: before the arguments are parsed, and nothing where there is no
// project.
func siteNames(args []string) []string {
	c := &console{}
	for i, arg := range args {
		if dir, ok := strings.CutPrefix(arg, "--root="); ok {
			c.root = dir
		} else if arg == "--root" && i+1 < len(args) {
			c.root = args[i+1]
		}
	}
	root, err := c.findRoot()
	if err != nil {
		return nil
	}
	sites, err := compiler.Sites(root)
	if err != nil {
		return nil
	}
	return sites
}

// siteChoice names the sites in a sentence.
func siteChoice(args []string) string {
	sites := siteNames(args)
	switch n := len(sites); n {
	case 0:
		return "a folder below sites/"
	case 1:
		return sites[0]
	default:
		return strings.Join(sites[:n-1], ", ") + " or " + sites[n-1]
	}
}
