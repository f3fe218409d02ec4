-- All that the catalogs say about the extension mmodal, as text without OIDs: two
-- databases whose text is the same have the same extension.
--
-- Names are shown with their schema, SCHEMA where it is the extension's own.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset null '-'
SET search_path = pg_catalog;

CREATE TEMP TABLE member AS
	SELECT d.classid, d.objid, d.classid::regclass::name AS catalog
	FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND x.extname = 'mmodal';
CREATE TEMP TABLE said (line text);

-- Row types of views are members from PostgreSQL 18, and array types at times.
INSERT INTO said SELECT concat_ws(' ', 'member', i.type, i.identity, '--', obj_description(objid, catalog))
	FROM member, pg_identify_object(classid, objid, 0) i;

INSERT INTO said SELECT concat_ws(' ', 'extension', extname, extversion, extrelocatable, extconfig, extcondition)
	FROM pg_extension WHERE extname = 'mmodal';

INSERT INTO said SELECT concat_ws(' ', 'function', p.oid::regprocedure, pg_get_functiondef(p.oid),
		p.provariadic, p.prolang, pg_get_userbyid(p.proowner), 'acl', coalesce(p.proacl::text, '-'))
	FROM pg_proc p JOIN member ON objid = p.oid AND catalog = 'pg_proc' WHERE p.prokind <> 'a';

INSERT INTO said SELECT concat_ws(' ', 'aggregate', p.oid::regprocedure, p.prorettype::regtype, p.proparallel,
		p.provolatile, p.procost, coalesce(p.proacl::text, '-'), a.aggkind, a.aggnumdirectargs, a.aggtransfn,
		a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn,
		a.aggmfinalfn, a.aggfinalextra, a.aggfinalmodify, a.aggsortop::regoperator, a.aggtranstype::regtype,
		a.aggtransspace, a.aggmtranstype::regtype, coalesce(a.agginitval, '-'), coalesce(a.aggminitval, '-'))
	FROM pg_proc p JOIN member ON objid = p.oid AND catalog = 'pg_proc' JOIN pg_aggregate a ON a.aggfnoid = p.oid;

INSERT INTO said SELECT concat_ws(' ', 'type', t.oid::regtype, t.typlen, t.typbyval, t.typtype, t.typcategory,
		t.typispreferred, t.typisdefined, t.typdelim, t.typrelid::regclass, t.typsubscript, t.typelem::regtype,
		t.typarray::regtype, t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout,
		t.typanalyze, t.typalign, t.typstorage, t.typnotnull, t.typbasetype::regtype, t.typtypmod, t.typndims,
		t.typcollation, coalesce(t.typdefault, '-'), coalesce(t.typacl::text, '-'))
	FROM pg_type t JOIN member ON objid = t.oid AND catalog = 'pg_type';

INSERT INTO said SELECT concat_ws(' ', 'operator', o.oid::regoperator, o.oprkind, o.oprcanmerge, o.oprcanhash,
		o.oprresult::regtype, o.oprcom::regoperator, o.oprnegate::regoperator, o.oprcode, o.oprrest, o.oprjoin)
	FROM pg_operator o JOIN member ON objid = o.oid AND catalog = 'pg_operator';

INSERT INTO said SELECT concat_ws(' ', 'cast', c.castsource::regtype, c.casttarget::regtype,
		c.castfunc::regprocedure, c.castcontext, c.castmethod)
	FROM pg_cast c JOIN member ON objid = c.oid AND catalog = 'pg_cast';

INSERT INTO said SELECT concat_ws(' ', 'access method', a.amname, a.amhandler, a.amtype)
	FROM pg_am a JOIN member ON objid = a.oid AND catalog = 'pg_am';

INSERT INTO said SELECT concat_ws(' ', 'operator class', a.amname, c.opcname, f.opfname, c.opcintype::regtype, c.opcdefault, c.opckeytype::regtype)
	FROM pg_opclass c JOIN member ON objid = c.oid AND catalog = 'pg_opclass'
		JOIN pg_am a ON a.oid = c.opcmethod JOIN pg_opfamily f ON f.oid = c.opcfamily;

INSERT INTO said SELECT concat_ws(' ', 'family operator', f.opfname, o.amoplefttype::regtype,
		o.amoprighttype::regtype, o.amopstrategy, o.amoppurpose, o.amopopr::regoperator, s.opfname)
	FROM pg_amop o JOIN pg_opfamily f ON f.oid = o.amopfamily JOIN member ON objid = f.oid AND catalog = 'pg_opfamily'
		LEFT JOIN pg_opfamily s ON s.oid = o.amopsortfamily;

INSERT INTO said SELECT concat_ws(' ', 'family function', f.opfname, p.amproclefttype::regtype,
		p.amprocrighttype::regtype, p.amprocnum, p.amproc::regprocedure)
	FROM pg_amproc p JOIN pg_opfamily f ON f.oid = p.amprocfamily
		JOIN member ON objid = f.oid AND catalog = 'pg_opfamily';

INSERT INTO said SELECT concat_ws(' ', 'relation', c.oid::regclass, c.relkind, c.relpersistence, c.reloptions,
		coalesce(c.relacl::text, '-'), pg_get_viewdef(c.oid),
		(SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attacl), ', ' ORDER BY attnum)
		 FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0))
	FROM pg_class c JOIN member ON objid = c.oid AND catalog = 'pg_class';

-- What pg_dump compares privileges with.
INSERT INTO said SELECT concat_ws(' ', 'initial privileges', pg_describe_object(i.classoid, i.objoid, i.objsubid),
		i.privtype, i.initprivs)
	FROM pg_init_privs i JOIN member ON objid = i.objoid AND classid = i.classoid;

INSERT INTO said SELECT concat_ws(' ', 'dependency', pg_describe_object(d.classid, d.objid, d.objsubid), d.deptype,
		'on', pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
	FROM pg_depend d JOIN member m ON m.objid = d.objid AND m.classid = d.classid;

SELECT replace(regexp_replace(line, 'on schema ' || name || '$', 'on schema SCHEMA'), name || '.', 'SCHEMA.')
FROM said, (SELECT extnamespace::regnamespace::text AS name FROM pg_extension WHERE extname = 'mmodal') x
ORDER BY line COLLATE "C";
