package main

import (
	"fmt"
	"strconv"
	"strings"
)

// emitChecks writes how requests are held to the model's constraints.
func (g *generator) emitChecks() {
	patterns := map[string]bool{}
	for _, name := range g.m.Operations.names {
		if in := g.m.Operations.byKey[name].Input; in != nil {
			g.pf("// CheckConstraints notes what the request of %s breaks.\nfunc (v *%s) CheckConstraints(c *awsapi.Check) {", name, in.Shape)
			if g.constrained(in.Shape) {
				g.pf(" v.check(c) ")
			}
			g.pf("}\n\n")
		}
	}
	for _, name := range g.structures(g.inputs) {
		if !g.constrained(name) {
			continue
		}
		g.pf("func (v *%s) check(c *awsapi.Check) {\n", name)
		g.members(name, func(member string, r *ref, required bool) {
			g.checkMember(r.Shape, "v."+upperFirst(member), lowerFirst(member), required)
			if p := g.shape(r.Shape); p.Type == "string" && p.Pattern != "" {
				patterns[r.Shape] = true
			}
		})
		g.pf("}\n\n")
	}
	enums := map[string]bool{}
	for name := range g.inputs {
		s := g.shape(name)
		enums[name] = len(s.Enum) > 0 && !g.svc.noEnums
	}
	for _, name := range sortedTrue(enums) {
		g.pf("var enum%s = []string{", name)
		for _, v := range g.shape(name).Enum {
			g.pf("%q,", v)
		}
		g.pf("}\n")
	}
	for _, name := range sortedTrue(patterns) {
		g.pf("var pattern%s = awsapi.NewPattern(%q)\n", name, g.shape(name).Pattern)
	}
}

// constrained reports whether a shape or anything inside it can be refused.
func (g *generator) constrained(name string) bool { return g.constrainedIn(name, map[string]bool{}) }

func (g *generator) constrainedIn(name string, seen map[string]bool) bool {
	if g.isLeaf(name) || seen[name] {
		return false
	}
	seen[name] = true
	s := g.shape(name)
	if s.Min != nil || s.Max != nil || s.Pattern != "" || len(s.Enum) > 0 && !g.svc.noEnums || name == "TableArn" {
		return true
	}
	found := false
	if s.Type == "structure" {
		g.members(name, func(_ string, r *ref, required bool) {
			found = found || required || g.constrainedIn(r.Shape, seen)
		})
	}
	for _, r := range []*ref{s.Member, s.Value, s.Key} {
		found = found || r != nil && g.constrainedIn(r.Shape, seen)
	}
	delete(seen, name)
	return found
}

func (g *generator) checkMember(shape, expr, name string, required bool) {
	inside := g.constrained(shape)
	switch {
	case required:
		g.pf("if %s {\nc.Null(%q)\n}", g.absent(shape, expr), name)
		if inside {
			g.pf(" else {")
		}
		g.pf("\n")
	case inside:
		g.pf("if %s {\n", g.present(shape, expr))
	}
	if inside {
		value := expr
		if g.isScalar(shape) {
			value += ".V"
		}
		g.checkValue(shape, value, name)
		g.pf("}\n")
	}
}

// checkValue writes the checks of a value that is there.
func (g *generator) checkValue(shape, expr, name string) {
	s := g.shape(shape)
	if shape == "TableArn" {
		g.pf("c.TableName(%q, %s)\n", name, expr)
		return
	}
	switch s.Type {
	case "string":
		if s.Min != nil || s.Max != nil {
			g.pf("c.Length(%q, %s, %s, %s)\n", name, expr, bound(s.Min), bound(s.Max))
		}
		if s.Pattern != "" {
			g.pf("c.Pattern(%q, %s, pattern%s)\n", name, expr, shape)
		}
		if len(s.Enum) > 0 && !g.svc.noEnums {
			g.pf("c.Enum(%q, %s, enum%s)\n", name, expr, shape)
		}
	case "integer", "long":
		if s.Min != nil {
			g.pf("c.Min(%q, %s, %d)\n", name, expr, *s.Min)
		}
		if s.Max != nil {
			g.pf("c.Max(%q, %s, %d)\n", name, expr, *s.Max)
		}
	case "blob":
		g.pf("c.Bytes(%q, len(%s), %s, %s)\n", name, expr, bound(s.Min), bound(s.Max))
	case "structure":
		g.pf("c.Enter(%q)\n%s.check(c)\nc.Leave()\n", name, expr)
	case "list":
		if s.Min != nil || s.Max != nil {
			g.pf("c.ListLength(%q, len(%s), %s, %s)\n", name, expr, bound(s.Min), bound(s.Max))
		}
		if !g.checkTogether(s.Member.Shape, expr, name, "Member", "[i]") {
			g.checkElements(s.Member.Shape, expr, name, "EnterIndex(i)", "[i]")
		}
	case "map":
		if s.Min != nil || s.Max != nil {
			g.pf("c.MapLength(%q, len(%s), %s, %s)\n", name, expr, bound(s.Min), bound(s.Max))
		}
		if s.Key.Shape == "TableArn" {
			g.pf("for i := range %s {\nc.TableKey(%q, %s[i].Key)\n}\n", expr, name, expr)
		}
		g.checkTogether(s.Key.Shape, expr, name, "Map keys", "[i].Key")
		if !g.checkTogether(s.Value.Shape, expr, name, "Map value", "[i].Val") {
			g.checkElements(s.Value.Shape, expr, name, "EnterKey("+expr+"[i].Key)", "[i].Val")
		}
	}
}

// checkTogether writes the check of all strings of a list, or of a map's keys or
// values, of which the first that is refused is named by what it is in. It
// reports whether there was anything for it to do.
func (g *generator) checkTogether(shape, expr, name, what, index string) bool {
	s := g.shape(shape)
	if !g.svc.together || s.Type != "string" || !g.constrained(shape) {
		return false
	}
	var rules []string
	allowed := ""
	switch {
	case len(s.Enum) > 0:
		allowed = fmt.Sprintf("awsapi.OneOf(%s%s, enum%s)", expr, index, shape)
		rules = append(rules, "Member must satisfy enum value set: ["+strings.Join(s.Enum, ", ")+"]")
	default:
		allowed = fmt.Sprintf("awsapi.HasLength(%s%s, %s, %s)", expr, index, bound(s.Min), bound(s.Max))
		rules = append(rules, "Member must have length less than or equal to "+bound(s.Max),
			"Member must have length greater than or equal to "+bound(s.Min))
	}
	g.pf("for i := range %s {\nif !%s {\nc.Together(%q, %q, %q)\nbreak\n}\n}\n", expr, allowed, name, what, strings.Join(rules, ", "))
	return true
}

func (g *generator) checkElements(shape, expr, name, enter, index string) {
	if !g.constrained(shape) {
		return
	}
	if name != "" { // a list in a list or map is entered by its index or key
		g.pf("c.Enter(%q)\n", name)
	}
	g.pf("for i := range %s {\nc.%s\n", expr, enter)
	if g.isStructure(shape) {
		g.pf("%s%s.check(c)\n", expr, index)
	} else if t := g.shape(shape).Type; t == "list" || t == "map" {
		// A list in a list or map: its own elements are one level deeper.
		g.pf("func(inner %s) {\n", g.elem(shape))
		g.checkValue(shape, "inner", "")
		g.pf("}(%s%s)\n", expr, index)
	} else {
		g.checkValue(shape, expr+index, "")
	}
	g.pf("c.Leave()\n}\n")
	if name != "" {
		g.pf("c.Leave()\n")
	}
}

func bound(n *int64) string {
	if n == nil {
		return "0"
	}
	return strconv.FormatInt(*n, 10)
}
