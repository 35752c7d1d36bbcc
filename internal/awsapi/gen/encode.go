package main

import (
	"fmt"
	"slices"
	"strings"
)

// emitEncoders writes how responses become JSON.
func (g *generator) emitEncoders() {
	for _, name := range g.structures(g.outputs) {
		g.pf("// AppendJSON appends the structure as JSON.\nfunc (v *%s) AppendJSON(dst []byte) []byte {\ndst = append(dst, '{')\n", name)
		g.encodeMembers(name, "awsapi.AppendJSONName", g.encodeValue)
		g.pf("return append(dst, '}')\n}\n\n")
	}
}

// encodeMembers writes the statements that append the members of a structure
// that are there, each behind its name. Required lists always are.
func (g *generator) encodeMembers(name, appendName string, encode func(shape, expr string, depth int)) {
	g.members(name, func(member string, r *ref, required bool) {
		expr := "v." + upperFirst(member)
		always := required && !g.svc.sparse[name+"."+member] && strings.HasPrefix(g.elem(r.Shape), "[]") && g.elem(r.Shape) != "[]byte"
		if !always {
			g.pf("if %s {\n", g.present(r.Shape, expr))
		}
		g.pf("dst = %s(dst, %q)\n", appendName, member)
		if g.isScalar(r.Shape) {
			expr += ".V"
		}
		encode(r.Shape, expr, 0)
		if !always {
			g.pf("}\n")
		}
	})
}

// encodeValue writes the statements that append a value.
func (g *generator) encodeValue(shape, expr string, depth int) {
	if c, ok := g.svc.custom[shape]; ok {
		g.pf("dst = %s\n", fmt.Sprintf(c.encode, expr))
		return
	}
	s := g.shape(shape)
	i := string(rune('i' + depth))
	switch s.Type {
	case "string":
		g.pf("dst = awsapi.AppendJSONString(dst, %s)\n", expr)
	case "integer", "long":
		g.pf("dst = strconv.AppendInt(dst, %s, 10)\n", expr)
	case "timestamp":
		g.pf("dst = awsapi.AppendJSONTime(dst, %s)\n", expr)
	case "double":
		g.pf("dst = awsapi.AppendJSONFloat(dst, %s)\n", expr)
	case "boolean":
		g.pf("dst = strconv.AppendBool(dst, %s)\n", expr)
	case "blob":
		g.pf("dst = awsapi.AppendJSONBytes(dst, %s)\n", expr)
	case "structure":
		g.pf("dst = %s.AppendJSON(dst)\n", expr)
	case "list":
		g.pf("dst = append(dst, '[')\nfor %s := range %s {\nif %s > 0 {\ndst = append(dst, ',')\n}\n", i, expr, i)
		g.encodeValue(s.Member.Shape, expr+"["+i+"]", depth+1)
		g.pf("}\ndst = append(dst, ']')\n")
	case "map":
		g.pf("dst = append(dst, '{')\nfor %s := range %s {\nif %s > 0 {\ndst = append(dst, ',')\n}\n", i, expr, i)
		g.pf("dst = append(awsapi.AppendJSONString(dst, %s[%s].Key), ':')\n", expr, i)
		g.encodeValue(s.Value.Shape, expr+"["+i+"].Val", depth+1)
		g.pf("}\ndst = append(dst, '}')\n")
	}
}

// sortedTrue returns the keys of m that are true, in order.
func sortedTrue(m map[string]bool) []string {
	var names []string
	for n, ok := range m {
		if ok {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}
