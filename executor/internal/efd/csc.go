package efd

import (
	"fmt"
	"strconv"
	"strings"
)

// CSC names a Commandable SAL Component. One without an index has Index 0.
type CSC struct {
	Component string // letters and digits, as in SAL: "MTMount"
	Index     int
}

// ParseCSC parses "MTMount:0", "MTHexapod:2" or, for index 0, "MTMount".
func ParseCSC(s string) (CSC, error) {
	component, index, found := strings.Cut(s, ":")
	c := CSC{Component: component}
	if found {
		n, err := strconv.Atoi(index)
		if err != nil || n < 0 || strconv.Itoa(n) != index {
			return CSC{}, fmt.Errorf("parse CSC %q: %q is not a SAL index", s, index)
		}
		c.Index = n
	}
	if err := checkComponent(component); err != nil {
		return CSC{}, fmt.Errorf("parse CSC %q: %w", s, err)
	}
	return c, nil
}

// String returns the name with its index: "MTMount:0".
func (c CSC) String() string { return c.Component + ":" + strconv.Itoa(c.Index) }

// checkComponent accepts only names that SAL allows. Such a name cannot end the
// name of a measurement in a query.
func checkComponent(name string) error {
	for i, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return fmt.Errorf("component %q: want letters and digits only", name)
		}
	}
	if name == "" {
		return fmt.Errorf("component %q: the name is empty", name)
	}
	return nil
}
