package main

// emitQuery writes how requests are read from the parameters of a Query call.
func (g *generator) emitQuery() {
	for _, name := range g.m.Operations.names {
		if in := g.m.Operations.byKey[name].Input; in != nil {
			g.pf("// DecodeForm reads the parameters of %s.\nfunc (v *%s) DecodeForm(f *awsapi.FormReader) { v.decodeForm(f, \"\") }\n\n", name, in.Shape)
		}
	}
	for _, name := range g.structures(g.inputs) {
		g.pf("func (v *%s) decodeForm(f *awsapi.FormReader, prefix string) {\n", name)
		g.members(name, func(member string, r *ref, _ bool) {
			g.formMember(r.Shape, "v."+upperFirst(member), member)
		})
		g.pf("}\n\n")
	}
	for _, name := range g.reached("list", g.inputs) {
		g.formList(name)
	}
	for _, name := range g.reached("map", g.inputs) {
		g.formMap(name)
	}
}

// formMember writes the statements that read a member below prefix.
func (g *generator) formMember(shape, dst, member string) {
	s := g.shape(shape)
	switch {
	case g.isScalar(shape), s.Type == "blob":
		g.pf("%s = f.%s(prefix + %q)\n", dst, formReader(s.Type), member)
	case s.Type == "structure":
		g.pf("if name := prefix + %q; f.Has(name) {\n%s = new(%s)\n%s.decodeForm(f, name + \".\")\n}\n", member, dst, shape, dst)
	default:
		g.pf("%s = formOf%s(f, prefix)\n", dst, shape)
	}
}

func formReader(typ string) string {
	if typ == "blob" {
		return "Blob"
	}
	return reader(typ)
}

func (g *generator) formList(name string) {
	e := g.shape(name).Member.Shape
	g.pf("func formOf%s(f *awsapi.FormReader, prefix string) (list []%s) {\n", name, g.elem(e))
	g.pf("for name := range f.Elements(prefix + %q) {\nvar e %s\n", g.svc.query[name].element, g.elem(e))
	g.formValue(e, "e", "name")
	g.pf("list = append(list, e)\n}\nreturn list\n}\n\n")
}

func (g *generator) formMap(name string) {
	e, q := g.shape(name).Value.Shape, g.svc.query[name]
	g.pf("func formOf%s(f *awsapi.FormReader, prefix string) awsapi.Map[%s] {\nvar entries []awsapi.Entry[%s]\n", name, g.elem(e), g.elem(e))
	g.pf("for name := range f.Elements(prefix + %q) {\ne := awsapi.Entry[%s]{Key: f.String(name + %q).V}\n", q.element, g.elem(e), "."+q.key)
	g.formValue(e, "e.Val", "name + \"."+q.value+"\"")
	g.pf("entries = append(entries, e)\n}\nreturn awsapi.NewMap(entries)\n}\n\n")
}

// formValue writes the statements that read an element whose name is known.
func (g *generator) formValue(shape, dst, name string) {
	switch t := g.shape(shape).Type; {
	case t == "blob":
		g.pf("%s = f.Blob(%s)\n", dst, name)
	case g.isScalar(shape):
		g.pf("%s = f.%s(%s).V\n", dst, reader(t), name)
	default:
		g.pf("%s.decodeForm(f, %s + \".\")\n", dst, name)
	}
}

// emitXML writes how responses become the XML of the Query protocol.
func (g *generator) emitXML() {
	for _, name := range g.structures(g.outputs) {
		g.pf("// AppendXML appends the structure's members as XML elements.\nfunc (v *%s) AppendXML(dst []byte) []byte {\n", name)
		g.members(name, func(member string, r *ref, _ bool) {
			expr := "v." + upperFirst(member)
			switch t := g.shape(r.Shape).Type; {
			case t == "list":
				g.pf("for i := range %s {\n", expr)
				g.xmlElement(r.Shape, g.shape(r.Shape).Member.Shape, expr+"[i]")
				g.pf("}\n")
			case t == "map":
				q := g.svc.query[r.Shape]
				g.pf("for i := range %s {\ndst = append(dst, \"<%s>\"...)\n", expr, q.element)
				g.xmlValue("string", q.key, expr+"[i].Key")
				g.xmlTyped(g.shape(r.Shape).Value.Shape, q.value, expr+"[i].Val")
				g.pf("dst = append(dst, \"</%s>\"...)\n}\n", q.element)
			default:
				g.pf("if %s {\n", g.present(r.Shape, expr))
				if g.isScalar(r.Shape) {
					expr += ".V"
				}
				g.xmlTyped(r.Shape, member, expr)
				g.pf("}\n")
			}
		})
		g.pf("return dst\n}\n\n")
	}
}

func (g *generator) xmlElement(list, shape, expr string) {
	g.xmlTyped(shape, g.svc.query[list].element, expr)
}

// xmlTyped writes the statements that append one element of a shape.
func (g *generator) xmlTyped(shape, tag, expr string) {
	if t := g.shape(shape).Type; t != "structure" {
		g.xmlValue(t, tag, expr)
		return
	}
	g.pf("dst = append(dst, \"<%s>\"...)\ndst = %s.AppendXML(dst)\ndst = append(dst, \"</%s>\"...)\n", tag, expr, tag)
}

func (g *generator) xmlValue(typ, tag, expr string) {
	value := map[string]string{
		"string": "awsapi.AppendXMLText(dst, %s)", "integer": "strconv.AppendInt(dst, %s, 10)", "long": "strconv.AppendInt(dst, %s, 10)",
		"boolean": "strconv.AppendBool(dst, %s)", "blob": "awsapi.AppendBase64(dst, %s)",
	}[typ]
	g.pf("dst = append(dst, \"<%s>\"...)\ndst = "+value+"\ndst = append(dst, \"</%s>\"...)\n", tag, expr, tag)
}
