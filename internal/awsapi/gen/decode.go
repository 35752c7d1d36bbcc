package main

import "fmt"

// emitDecoders writes how requests are read.
func (g *generator) emitDecoders() {
	for _, name := range g.m.Operations.names {
		if in := g.m.Operations.byKey[name].Input; in != nil {
			g.pf("// Decode reads the request of %s.\nfunc (v *%s) Decode(d *awsapi.Decoder) { v.decode(d, true) }\n\n", name, in.Shape)
		}
	}
	for _, name := range g.structures(g.inputs) {
		g.decodeStructure(name)
	}
	for _, name := range g.reached("list", g.inputs) {
		g.decodeList(name)
	}
	for _, name := range g.reached("map", g.inputs) {
		g.decodeMap(name)
	}
}

func (g *generator) decodeStructure(name string) {
	g.pf("func (v *%s) decode(d *awsapi.Decoder, element bool) {\n", name)
	g.pf("for ok := d.Object(\"class %s.%s\", element); ok; ok = d.NextMember() {\nswitch d.Name {\n", g.svc.java, name)
	g.members(name, func(member string, r *ref, _ bool) {
		g.pf("case %q:\n", member)
		g.decodeMember(r.Shape, "v."+upperFirst(member), member)
	})
	g.pf("default:\nd.Skip()\n}\n}\n}\n\n")
}

// decodeMember writes the statements that read a member or null.
func (g *generator) decodeMember(shape, dst, member string) {
	switch c, isCustom := g.svc.custom[shape]; {
	case g.svc.opaque[shape]:
		g.pf("if %s = !d.Null(); %s {\nd.Skip()\n}\n", dst, dst)
	case isCustom:
		zero := "nil"
		if c.goType == "model.Value" {
			zero = "model.Value{}"
		}
		g.pf("if d.Null() {\n%s = %s\n} else {\n%s\n}\n", dst, zero, fmt.Sprintf(c.decode, dst, member))
	case g.isScalar(shape):
		g.pf("%s = d.%s()\n", dst, reader(g.shape(shape).Type))
	case g.isStructure(shape):
		g.pf("if d.Null() {\n%s = nil\n} else {\n%s = new(%s)\n%s.decode(d, false)\n}\n", dst, dst, shape, dst)
	case g.shape(shape).Type == "blob":
		g.pf("%s = d.Blob()\n", dst)
	case g.elem(shape) == "[]string":
		g.pf("%s = d.Strings()\n", dst)
	default:
		g.pf("if d.Null() {\n%s = nil\n} else {\n%s = decode%s(d)\n}\n", dst, dst, shape)
	}
}

// decodeElement writes the statements that read an element of a list or map;
// null leaves it zero.
func (g *generator) decodeElement(shape, dst, context string) {
	switch c, isCustom := g.svc.custom[shape]; {
	case isCustom:
		g.pf("if !d.Null() {\n%s\n}\n", fmt.Sprintf(c.decode, dst, context))
	case g.isScalar(shape):
		g.pf("%s = d.%s().V\n", dst, reader(g.shape(shape).Type))
	case g.isStructure(shape):
		g.pf("if !d.Null() {\n%s.decode(d, true)\n}\n", dst)
	case g.shape(shape).Type == "blob":
		g.pf("%s = d.Blob()\n", dst)
	default:
		g.pf("if !d.Null() {\n%s = decode%s(d)\n}\n", dst, shape)
	}
}

func reader(typ string) string {
	return map[string]string{"string": "String", "integer": "Integer", "long": "Long",
		"double": "Double", "boolean": "Bool", "timestamp": "Time"}[typ]
}

func (g *generator) decodeList(name string) {
	if g.elem(name) == "[]string" {
		return
	}
	e := g.shape(name).Member.Shape
	g.pf("func decode%s(d *awsapi.Decoder) []%s {\n", name, g.elem(e))
	if n := g.svc.room[name]; n > 0 {
		g.pf("list := make([]%s, 0, %d)\n", g.elem(e), n)
	} else {
		g.pf("list := []%s{}\n", g.elem(e))
	}
	g.pf("for ok := d.Array(); ok; ok = d.NextElement() {\nvar e %s\n", g.elem(e))
	g.decodeElement(e, "e", name)
	g.pf("list = append(list, e)\n}\nreturn list\n}\n\n")
}

func (g *generator) decodeMap(name string) {
	e := g.shape(name).Value.Shape
	g.pf("func decode%s(d *awsapi.Decoder) awsapi.Map[%s] {\nentries := []awsapi.Entry[%s]{}\n", name, g.elem(e), g.elem(e))
	g.pf("for ok := d.Object(\"java.util.Map<java.lang.String, %s>\", false); ok; ok = d.NextMember() {\n", g.javaName(e))
	g.pf("e := awsapi.Entry[%s]{Key: d.Name}\n", g.elem(e))
	g.decodeElement(e, "e.Val", name)
	g.pf("entries = append(entries, e)\n}\nreturn awsapi.NewMap(entries)\n}\n\n")
}

// javaName is how AWS's errors name an element's type.
func (g *generator) javaName(shape string) string {
	switch s := g.shape(shape); s.Type {
	case "string":
		return "java.lang.String"
	case "list":
		return "java.util.List<" + g.javaName(s.Member.Shape) + ">"
	case "map":
		return "java.util.Map<java.lang.String, " + g.javaName(s.Value.Shape) + ">"
	default:
		return g.svc.java + "." + shape
	}
}
