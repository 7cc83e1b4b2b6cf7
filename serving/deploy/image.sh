#!/bin/sh
# Run once, while `bentoml containerize` makes the image. Nothing of ours is installed in it: the package stands beside the declarations.
set -eu
home=/home/bentoml/bento/src

# The two folders that the service writes: a new named volume takes its owner from here.
for folder in /var/cache/riskmodel "$home/casebook"; do
  install -d -o bentoml -g bentoml -m 0750 "$folder"
done

# The same command as everywhere else: docker compose exec riskmodel riskmodel keys list
cat > /usr/local/bin/riskmodel <<END
#!/bin/sh
export PYTHONPATH=$home RISKMODEL_PROJECT="\${RISKMODEL_PROJECT:-$home}"
exec /app/.venv/bin/python -m riskmodel.cli "\$@"
END
chmod 0755 /usr/local/bin/riskmodel
